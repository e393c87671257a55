"""Run by `make arm64` and `make haswell`, here and on an emulated processor: what a bundle computes, as an NPZ file."""

import sys

import numpy as np

from amused_edge.runtime import AmusedPipeline, EngineOptions, GenerationOptions
from amused_edge.runtime.bundle.golden import Golden

PROMPT = "a 3d render of a fox on a blue background"
CORNER = 4


def main(bundle: str, out: str, steps: int) -> None:
    """Compute the logits of two grids, the golden output's parts, and the tokens of a picture of so many steps."""
    found = {}
    with AmusedPipeline.from_bundle(bundle, EngineOptions(threads=2)) as pipeline:
        golden = Golden.from_json(pipeline.bundle.golden.read_text(encoding="utf-8"))
        stored = np.array(golden.tokens).reshape(pipeline.geometry.grid_height, pipeline.geometry.grid_width)
        found["first"] = pipeline.first_logits(golden.prompt)
        masked = np.arange(stored.size)[::2]
        half = stored.copy().reshape(-1)
        half[masked] = pipeline.geometry.mask_token_id
        pair = pipeline.condition(["", PROMPT])
        found["half"] = pipeline.guided_logits(half.reshape(stored.shape), masked, pair, 3.0)
        expected = np.array(golden.logits)
        found["golden"] = np.array(
            [
                pipeline.tokenizer([golden.prompt])[0].tolist() == golden.input_ids,
                np.abs(found["first"][0, : len(expected)] - expected).max() / np.abs(expected).max(),
                np.abs(
                    pipeline.decode(stored[None])[0, :CORNER, :CORNER].reshape(-1).astype(int) - golden.pixels
                ).max(),
                golden.tolerance.logits,
                golden.tolerance.pixels,
            ],
            np.float64,
        )
        options = GenerationOptions(seed=0, steps=steps)
        found["tokens"] = np.stack([step.predicted[0] for step in pipeline.stream(PROMPT, options)])
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
