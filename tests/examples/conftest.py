"""The scripts of examples/tiny-run import each other by name, as they do when they are run."""

import sys
from pathlib import Path

TINY_RUN = Path(__file__).resolve().parents[2] / "examples" / "tiny-run"

sys.path.insert(0, str(TINY_RUN))
