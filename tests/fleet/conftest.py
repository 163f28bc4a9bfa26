"""The auditor, and the way to a database without the package, are those of the tests of kill -9."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "kill"))
