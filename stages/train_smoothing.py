"""Trainings of a data set's classifiers for randomized smoothing, side by side where the machine allows.

A small network cannot keep a second core busy, and DVC runs one stage at a time: so both are one stage.
"""

from __future__ import annotations

import sys

from dualperturb.params import SMOOTHED
from stages.by_norm import run_all
from stages.common import params, run


def main(dataset: str) -> None:
    settings = params(dataset)
    run_all([[sys.executable, "-m", "stages.train", name, dataset] for name in SMOOTHED], settings)


if __name__ == "__main__":
    run(main)
