"""Puts build/ on the path, as `PYTHONPATH=build` does for the programs."""

import sys
from pathlib import Path

BUILD = str(Path(__file__).parents[1])
if BUILD not in sys.path:
    sys.path.insert(0, BUILD)
