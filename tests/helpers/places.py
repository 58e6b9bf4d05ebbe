"""Where things lie that tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
SHARED = ROOT.parent / "shared"
"""Real traces and cases, beside the checkout where this project is developed; tests that read them skip without."""
