"""Puts the build programs on the path, as running them does."""

import sys
from pathlib import Path

BUILD = Path(__file__).parents[3] / "build"
if str(BUILD) not in sys.path:
    sys.path.insert(0, str(BUILD))
