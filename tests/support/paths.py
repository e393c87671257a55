"""Where things are."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DEMO_CHECKPOINT = ROOT / "demo" / "checkpoint"
COMMAND = Path(sys.executable).with_name("amused-edge")
