"""The certificate that captions tell, and the budgets that are out of its reach, by the parameters."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from dualperturb.attacks.smoothed import GaussianNoise
from dualperturb.evaluation import smoothing as evaluation
from dualperturb.evaluation.smoothing import Sampling
from dualperturb.params import load_params
from stages.report import certificate
from stages.smoothing import certified

SETTINGS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
PARAMS = SETTINGS.of("shapes6")


def test_each_smoothed_classifier_has_the_bound_of_its_own_lower_sigma() -> None:
    """500 copies of one class at alpha 0.001: a probability of at least 0.9863, Phi^-1 of which is 2.206."""
    by_region = PARAMS.train.smoothing_dual.model_copy(update={"sigma_f": 2.0, "sigma_b": 0.5})
    trained = PARAMS.train.model_copy(update={"smoothing_dual": by_region})
    chosen = PARAMS.evaluate.smoothing.model_copy(update={"radii": (0.0, 0.5, 1.0, 1.5)})
    found = certificate(chosen, trained)
    expected = {"smoothing": 0.25 * 2.206, "smoothing_dual": 0.5 * 2.206}
    assert found.largest_radii == pytest.approx(expected, rel=1e-3)
    assert found.left_out == {"smoothing": (1.0, 1.5), "smoothing_dual": (1.5,)}


@pytest.mark.parametrize(
    ("noise", "beyond"), [(GaussianNoise(0.25), [5, 10, 20]), (GaussianNoise(0.25, 4.0, fixed=True), [])]
)
def test_budgets_that_no_number_of_votes_certifies_stand_on_an_axis_of_their_own(
    monkeypatch: pytest.MonkeyPatch, noise: GaussianNoise, beyond: list[float]
) -> None:
    """hypot(2, 3) / 7 = 0.515 and hypot(2, 5) / 7 = 0.769 beside the bound 0.551 of the test above."""
    images = pd.DataFrame({"correct": [True] * 4, "radius": [0.55] * 4})
    monkeypatch.setattr(evaluation, "certify_images", lambda *given: images)
    measured = SimpleNamespace(data=SimpleNamespace(side=32))
    sampling = Sampling(noise, 500, 0.001, 100, seed=0)
    rows = pd.DataFrame(certified(measured, sampling, "shapes6", SETTINGS, 0.25))
    budgets = rows[rows["axis"] != "radius"].set_index("value")
    assert list(budgets.index) == [0, 1, 2, 3, 5, 10, 20]
    assert list(budgets.index[budgets["axis"] == "eps_b_out_of_reach"]) == beyond
    assert list(budgets.index[budgets["accuracy"] == 0]) == beyond
