"""A tiny export, made where another was killed."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.onnx.target import OnnxTarget
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.checkpoints import write_checkpoint

TINY_OPTIONS = ExportOptions(
    height=8,
    width=12,
    sampler=GenerationOptions(steps=3, guidance_scale=2.5, temperature=1.5, schedule="linear"),
    name="tiny",
)
"""Not square, and nothing left at its default."""


_KILL_YOURSELF = """
import os, signal, sys
from amused_edge.export.bundle_export import export_bundle

def on_stage(description, index, total):
    if description == "exporting text_encoder":
        os.kill(os.getpid(), signal.SIGKILL)

export_bundle(sys.argv[1], sys.argv[2], on_stage=on_stage)
"""


@dataclass(frozen=True)
class TinyExport:
    """A bundle exported to a place where an export was killed before.

    Attributes
    ----------
    killed_with
        Return code of the killed export.
    left_by_killed, left_at_last
        Names beside the bundle after the killed export, and after the second one.
    stages
        What `on_stage` was called with in the second export.
    """

    checkpoint: Checkpoint
    bundle: Bundle
    killed_with: int
    left_by_killed: list[str]
    left_at_last: list[str]
    stages: list[tuple[str, int, int]]


def _export_twice(root: Path) -> TinyExport:
    folder = write_checkpoint(
        root / "checkpoint", uvit={"downsample": True, "upsample": True, "use_bias": True, "num_hidden_layers": 1}
    )
    out = root / "bundles" / "tiny"
    out.parent.mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", _KILL_YOURSELF, str(folder), str(out)], cwd=root, capture_output=True, check=False
    )
    left_by_killed = sorted(path.name for path in out.parent.iterdir())
    stages: list[tuple[str, int, int]] = []
    target = OnnxTarget(with_sampler=True)
    bundle = export_bundle(folder, out, TINY_OPTIONS, target=target, on_stage=lambda *stage: stages.append(stage))
    return TinyExport(
        open_checkpoint(folder),
        bundle,
        killed.returncode,
        left_by_killed,
        sorted(path.name for path in out.parent.iterdir()),
        stages,
    )
