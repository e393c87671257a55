"""Tokens that Python draws with bundles, for test/fullsize/recipes.ts: `reference_tokens.py BUNDLE... > FILE.json`."""

import json
import sys
from pathlib import Path

from amused_edge import AmusedPipeline, GenerationOptions

PROMPTS = (Path(__file__).resolve().parents[3] / "demo/sheet.txt").read_text(encoding="utf-8").splitlines()[:4]


def pictures(bundle: str) -> list[dict[str, object]]:
    """Draw each prompt, the seed being its place."""
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        drawn = [pipeline.generate(prompt, GenerationOptions(seed=seed)) for seed, prompt in enumerate(PROMPTS)]
    return [{"prompt": p, "tokens": d.tokens.reshape(-1).tolist()} for p, d in zip(PROMPTS, drawn, strict=True)]


if __name__ == "__main__":
    print(json.dumps({Path(bundle).name: pictures(bundle) for bundle in sys.argv[1:]}))
