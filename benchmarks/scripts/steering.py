"""What each way of steering does to a bundle's pictures, beside the true ones of a judge, as a Markdown table.

`python -m amused_edge.benchmarks.scripts.steering BUNDLE JUDGE [--count 72]`
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics.pictures import psnr
from amused_edge.benchmarks.metrics.statistics import bootstrap, difference, mean, resampled
from amused_edge.benchmarks.quality.instruments.judge import Judge
from amused_edge.benchmarks.quality.sources import choose_prompts
from amused_edge.benchmarks.report.markdown import table_lines
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.system.scripts import run

WAYS: dict[str, GenerationOptions] = {
    "the bundle's defaults": GenerationOptions(),
    "no guidance": GenerationOptions(guidance_scale=1.0),
    "guidance 3": GenerationOptions(guidance_scale=3.0),
    "guidance 3, linear ramp": GenerationOptions(guidance_scale=3.0, guidance_ramp="linear"),
    "guidance 3, cosine ramp": GenerationOptions(guidance_scale=3.0, guidance_ramp="cosine"),
    "guidance 3, first half": GenerationOptions(guidance_scale=3.0, guidance_interval=(0.0, 0.5)),
    "guidance 3, second half": GenerationOptions(guidance_scale=3.0, guidance_interval=(0.5, 1.0)),
    "guidance 3, middle half": GenerationOptions(guidance_scale=3.0, guidance_interval=(0.25, 0.75)),
    "temperature 0": GenerationOptions(temperature=(0.0, 0.0)),
    "temperature 4 to 0": GenerationOptions(temperature=(4.0, 0.0)),
    "linear schedule": GenerationOptions(schedule="linear"),
    "Halton order": GenerationOptions(order="halton"),
    "6 steps": GenerationOptions(steps=6),
    "6 steps, Halton order": GenerationOptions(steps=6, order="halton"),
    "24 steps": GenerationOptions(steps=24),
}


def measure(
    bundle: Path, judge: Judge, prompts: Sequence[str], ways: Mapping[str, GenerationOptions] = WAYS
) -> dict[str, NDArray[np.float64]]:
    """Draw each prompt in each way, and return (n,) PSNR in dB against the true pictures, by way."""
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        g = pipeline.geometry
        judge.check(prompts, (g.image_height, g.image_width))
        return {
            way: np.array(
                [
                    psnr(judge.truth(prompt), picture.image)
                    for prompt, picture in zip(prompts, pipeline.pictures(prompts, options), strict=True)
                ]
            )
            for way, options in ways.items()
        }


def table(values: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Return Markdown rows: mean PSNR, and the paired difference from the first way with its 95 % interval."""
    (baseline, reference), *others = values.items()
    weights = resampled(len(reference))
    rows = [(baseline, f"{reference.mean():.1f}", "")]
    for way, psnrs in others:
        found = bootstrap(difference(mean(psnrs), mean(reference)), weights)
        verdict = "none: " if found.holds(0.0) else ""
        change = f"{verdict}{found.estimate:+.1f} ({found.low:+.1f} to {found.high:+.1f})"
        rows.append((way, f"{psnrs.mean():.1f}", change))
    lines = table_lines(("", "PSNR, dB", "difference, dB"), rows)
    return [line.replace("|  |", "| |") for line in lines]  # empty cells as narrow as the pages have them


def _main() -> None:
    parser = argparse.ArgumentParser(description="What each way of steering does to a bundle's pictures.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("judge", type=Path)
    parser.add_argument("--count", type=int, default=72)
    chosen = parser.parse_args()
    judge = Judge(chosen.judge)
    print("\n".join(table(measure(chosen.bundle, judge, choose_prompts(None, judge, chosen.count)))))


if __name__ == "__main__":
    run(_main)
