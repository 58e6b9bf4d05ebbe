"""The demo's scripts import each other as they do when they are run: from their own folder."""

import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "demo"
sys.path.insert(0, str(DEMO))
