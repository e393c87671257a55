"""Draws the same prompts with several bundles and lays the pictures out: a row per bundle, a column per prompt.

`python -m amused_edge.benchmarks.scripts.side_by_side OUT.png BUNDLE... --prompt "..." --prompt "..."`, or with
`--prompts-file FILE`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.options import SIMULATIONS, Simulation
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray, check_png_path, contact_sheet, write_png
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.system.scripts import run
from amused_edge.runtime.tasks.prompt_file import read_prompts


def side_by_side(
    bundles: Sequence[Path], prompts: Sequence[str], seed: int = 0, scale: int = 1, simulate: Simulation | None = None
) -> ImageArray:
    """Return a sheet (H, W, 3) uint8; the same seed everywhere, captions name bundle and prompt.

    Parameters
    ----------
    simulate
        How Core ML bundles are evaluated, see `EngineOptions`.
    """
    images: list[ImageArray] = []
    captions: list[str] = []
    for path in bundles:
        target = Bundle.open(path).manifest.target
        engine = EngineOptions(simulate=simulate if target == "coreml" else None)
        with AmusedPipeline.from_bundle(path, engine) as pipeline:
            images += list(pipeline.generate(prompts, GenerationOptions(seed=seed)).images)
        captions += [f"{path.name}: {prompt}" for prompt in prompts]
    return contact_sheet(images, len(prompts), scale, captions)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Draw the same prompts with several bundles, side by side.")
    parser.add_argument("out", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--prompt", dest="prompts", action="append")
    given.add_argument("--prompts-file", type=Path, help="UTF-8 text file, one prompt per line")
    parser.add_argument("--limit", type=int, help="only this many of the prompts, the first ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--simulate", choices=SIMULATIONS, help="of Core ML bundles")
    chosen = parser.parse_args()
    check_png_path(chosen.out)
    if chosen.limit is not None and chosen.limit < 1:
        raise OptionsError(f"--limit is {chosen.limit}; draw at least one prompt")
    prompts = (chosen.prompts or read_prompts(chosen.prompts_file))[: chosen.limit]
    sheet = side_by_side(chosen.bundles, prompts, chosen.seed, chosen.scale, chosen.simulate)
    write_png(sheet, chosen.out)


if __name__ == "__main__":
    run(_main)
