"""Makes test/browser/tiny-bundle anew: random weights, all roles, small enough for a graphics card in software.

From the repository's root: `.venv/bin/python apps/web/scripts/tiny_bundle.py`.
"""

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from amused_edge.export.bundle_export import export_bundle  # noqa: E402
from tests.support.checkpoints import write_checkpoint  # noqa: E402
from tests.support.tiny_export import TINY_OPTIONS  # noqa: E402

UVIT = {"downsample": True, "upsample": True, "use_bias": True, "num_hidden_layers": 1}

if __name__ == "__main__":
    out = ROOT / "apps/web/test/browser/tiny-bundle"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        export_bundle(write_checkpoint(Path(folder) / "checkpoint", uvit=UVIT), out, TINY_OPTIONS)
