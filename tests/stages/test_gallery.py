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
    bounded = ["dual, constrained"] if climbed else []
    names = ["PGD", "dual, weight 0", *bounded]
    assert list(found) == [*(f"{name} ({norm})" for norm in ("L2", "Linf") for name in names), "JSMA (L0)"]
    assert [norm for norm, _ in found.values()] == ["L2"] * len(names) + ["Linf"] * len(names) + ["L0"]
