"""What `amused-edge validate` makes of a tiny checkpoint."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkpoints import write_checkpoint
from tests.support.paths import COMMAND


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


def _validate(root: Path) -> Validated:
    checkpoint = write_checkpoint(root / "tiny", uvit={"downsample": True, "upsample": True})
    (checkpoint / "generation_config.json").write_text('{"num_inference_steps": 3, "guidance_scale": 2.0}')
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
