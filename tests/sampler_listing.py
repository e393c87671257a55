"""Run as a script where only the runtime is installed: the listing of docs/sampler.md draws what the runtime draws."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PROMPT, SEED = "a red fox on a blue background", 2**64 - 3


def main(bundle: str) -> None:
    """Draw with the bundle's `sampler.onnx` and with the pipeline; fails if tokens or pixels differ."""
    import onnxruntime

    from amused_edge import AmusedPipeline, GenerationOptions

    guide = Path(__file__).parents[1] / "docs" / "sampler.md"
    (listing,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "drawn.npz"
        command = [sys.executable, "-c", listing, bundle, PROMPT, str(SEED), str(made)]
        subprocess.run(command, check=True, cwd=folder)
        drawn = np.load(made)
        tokens, image = drawn["tokens"], drawn["image"]
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        result = pipeline.generate(PROMPT, GenerationOptions(seed=SEED))
    assert np.array_equal(result.tokens[0], tokens), f"{(result.tokens[0] != tokens).sum()} tokens differ"
    assert np.array_equal(result.images[0], image), "the pixels differ"
    print(f"sampler.onnx draws the runtime's picture on onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main(sys.argv[1])
