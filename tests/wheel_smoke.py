"""Run as a script where only the wheel and what it needs are installed: import, draw, see that that is all."""

import importlib.util
import subprocess
import sys
from pathlib import Path


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
    export = subprocess.run([command[0], "export", "x", "y"], capture_output=True, text=True, check=False)
    assert export.returncode == 1
    assert "install this package with its extras" in export.stderr, export.stderr


if __name__ == "__main__":
    main(sys.argv[1])
