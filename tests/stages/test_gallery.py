"""The attacks of the gallery, by the parameters."""

from __future__ import annotations

from pathlib import Path

from dualperturb.params import load_params
from stages.gallery import attacks

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


def test_the_attacks_are_pgd_dual_at_every_weight_and_jsma() -> None:
    weights = {"examples": PARAMS.examples.model_copy(update={"salience_weights": (0.0, 1.0)})}
    found = attacks(PARAMS.model_copy(update=weights), "shapes6", 32)
    names = ("PGD", "dual, weight 0", "dual, weight 1")
    by_norm = [f"{name} ({norm})" for norm in ("L2", "Linf") for name in names]
    assert list(found) == [*by_norm, "JSMA (L0)"]
    assert [norm for norm, _ in found.values()] == ["L2"] * 3 + ["Linf"] * 3 + ["L0"]
