"""shapes6, drawn by a program: objects of six classes before backgrounds.

The data set's reader imports it; benchmarks and the tests against other libraries draw from it, too.
"""

from __future__ import annotations

from dualperturb.datasets.shapes6.drawing import CLASS_NAMES, SIDE, draw
from dualperturb.datasets.shapes6.parts import rows

__all__ = ["CLASS_NAMES", "SIDE", "draw", "rows"]
