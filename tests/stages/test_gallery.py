"""The attacks of the gallery, by the parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from dualperturb.params import load_params
from dualperturb.params.masks import SaliencyParams
from stages.gallery import attacks
from tests.sections import with_section

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


@pytest.mark.parametrize(
    ("model", "climbed"), [("builtin", True), ({"name": "onnx", "file": "a.onnx"}, False)]
)
def test_no_attack_climbs_a_saliency_model_without_a_gradient(model: object, climbed: bool) -> None:
    chosen = with_section(PARAMS, "shapes6", "masks", model=SaliencyParams.model_validate(model))
    fig1 = PARAMS.figures.fig1.model_copy(update={"salience_weights": (0.0,)})
    weights = PARAMS.figures.model_copy(update={"fig1": fig1})
    found = attacks(chosen.model_copy(update={"figures": weights}), "shapes6", 32)
    plain = ["PGD (L2)", "dual, weight 0 (L2)", "PGD (Linf)", "dual, weight 0 (Linf)", "JSMA (L0)"]
    balanced = ["dual, balanced (L2)", "dual, balanced (Linf)"]
    assert sorted(found) == sorted(plain + (balanced if climbed else []))
