"""Run as a script where only the wheel and what it needs are installed: import, draw, see that that is all."""

import importlib.util
import subprocess
import sys
from pathlib import Path

EXTRAS = {
    "export x y": "export",
    "export x y --target coreml": "export,coreml",
    "validate x y": "export,quantize",
    "quantize BUNDLE y --recipe w8": "quantize",
    "quantize BUNDLE y --recipe w8 --sensitivity": "quantize",
    "bench latency BUNDLE --out y": "bench",
    "bench quality BUNDLE BUNDLE --out y": "bench",
    "bench compare BUNDLE --steps 1,2 --out y": "bench",
}
"""Command -> the extras that it names where they are not installed."""


def main(bundle: str) -> None:
    """Draw with the installed package; exits with 1 if anything is off."""
    import amused_edge
    from amused_edge import AmusedPipeline, GenerationOptions

    here = Path(amused_edge.__file__)
    assert "site-packages" in here.parts, f"{here} is not the installed package"
    for library in ("torch", "transformers", "diffusers", "onnx", "safetensors"):
        assert importlib.util.find_spec(library) is None, f"{library} is installed, this environment proves nothing"
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        result = pipeline.generate("a panda", GenerationOptions(steps=2))
    assert result.images.shape == (1, 64, 64, 3)
    assert result.images.std() > 10, "the picture is flat"
    command = [str(Path(sys.executable).parent / "amused-edge"), "inspect", bundle, "--verify"]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    for line, extras in EXTRAS.items():
        words = [bundle if word == "BUNDLE" else word for word in line.split()]
        failed = subprocess.run([command[0], *words], capture_output=True, text=True, check=False)
        assert failed.returncode == 1, (line, failed.stderr)
        assert failed.stderr.count("\n") == 1, (line, failed.stderr)
        assert f"pip install 'amused-edge[{extras}]'" in failed.stderr, (line, failed.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
