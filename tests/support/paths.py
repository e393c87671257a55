"""Where things are."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
WEB = ROOT / "apps" / "web"
TINY_BUNDLE = WEB / "test" / "browser" / "tiny-bundle"
DEMO_CHECKPOINT = ROOT / "demo" / "checkpoint"
COMMAND = Path(sys.executable).with_name("amused-edge")
