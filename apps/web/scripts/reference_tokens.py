"""Tokens and seconds of Python's pictures, for test/fullsize/recipes.ts: `reference_tokens.py BUNDLE... > FILE.json`.

With `--threads N` in front, the engine has so many. The seconds are of single pictures, the first one being warmed up.
"""

import argparse
import json
import time
from pathlib import Path

from amused_edge import AmusedPipeline, EngineOptions, GenerationOptions

PROMPTS = (Path(__file__).resolve().parents[3] / "demo/sheet.txt").read_text(encoding="utf-8").splitlines()[:4]


def pictures(bundle: str, threads: int) -> list[dict[str, object]]:
    """Draw each prompt, the seed being its place."""
    drawn: list[dict[str, object]] = []
    with AmusedPipeline.from_bundle(bundle, EngineOptions(threads=threads)) as pipeline:
        pipeline.generate(PROMPTS[0], GenerationOptions(steps=1))
        for seed, prompt in enumerate(PROMPTS):
            start = time.perf_counter()
            tokens = pipeline.generate(prompt, GenerationOptions(seed=seed)).tokens
            seconds = time.perf_counter() - start
            drawn.append({"prompt": prompt, "tokens": tokens.reshape(-1).tolist(), "seconds": seconds})
    return drawn


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("bundles", nargs="+")
    asked = parser.parse_args()
    print(json.dumps({Path(bundle).name: pictures(bundle, asked.threads) for bundle in asked.bundles}))
