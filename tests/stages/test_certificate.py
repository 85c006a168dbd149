"""The certificate that captions tell, by the parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from dualperturb.params import load_params
from stages.report import certificate

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml").of("shapes6")


def test_each_smoothed_classifier_has_the_bound_of_its_own_lower_sigma() -> None:
    """500 copies of one class at alpha 0.001: a probability of at least 0.9863, Phi^-1 of which is 2.206."""
    by_region = PARAMS.train.smoothing_dual.model_copy(update={"sigma_f": 2.0, "sigma_b": 0.5})
    trained = PARAMS.train.model_copy(update={"smoothing_dual": by_region})
    chosen = PARAMS.evaluate.smoothing.model_copy(update={"radii": (0.0, 0.5, 1.0, 1.5)})
    found = certificate(chosen, trained)
    expected = {"smoothing": 0.25 * 2.206, "smoothing_dual": 0.5 * 2.206}
    assert found.largest_radii == pytest.approx(expected, rel=1e-3)
    assert found.left_out == {"smoothing": (1.0, 1.5), "smoothing_dual": (1.5,)}
