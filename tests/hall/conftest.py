"""One run of `amused-edge validate` for all tests of this folder; the bundle that it exports serves the others."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import write_checkpoint

COMMAND = Path(sys.executable).with_name("amused-edge")


@dataclass(frozen=True)
class Validated:
    """A tiny random checkpoint, and what the command made of it."""

    checkpoint: Path
    out: Path
    result: subprocess.CompletedProcess[str]

    @property
    def bundle(self) -> Path:
        """The exported bundle; read-only by convention."""
        return self.out / "fp32"


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    root = tmp_path_factory.mktemp("validate")
    checkpoint = write_checkpoint(root / "tiny")
    (checkpoint / "generation_config.json").write_text('{"num_inference_steps": 2, "guidance_scale": 2.0}')
    (root / "prompts.txt").write_text("a fox\na panda\n", encoding="utf-8")
    few = ("--prompts", "prompts.txt", "--calibration-prompts", "1", "--fidelity-prompts", "1")
    result = subprocess.run(
        [str(COMMAND), "validate", "tiny", "out", *few],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return Validated(checkpoint, root / "out", result)
