"""Our APGD and Dual-AutoAttack on balls with one region against AutoAttack's own code (pyautoattack)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from dualperturb import L2, Linf, pgd
from dualperturb.attacks.apgd import apgd
from dualperturb.attacks.auto import auto_attack

CLASSES = 6


@dataclass(frozen=True)
class LinfFromZero(Linf):
    def start(self, images: Tensor, seeds: Sequence[int], region: Tensor | None = None) -> Tensor:
        return torch.zeros_like(images)


@dataclass(frozen=True)
class L2FromZero(L2):
    def start(self, images: Tensor, seeds: Sequence[int], region: Tensor | None = None) -> Tensor:
        return torch.zeros_like(images)


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """The peer draws from torch's global stream and talks; both are put back."""
    pytest.importorskip("pyautoattack", reason="pyautoattack cannot be imported; `make test` installs it")
    logger = logging.getLogger("auto-attack")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with torch.random.fork_rng(devices=[]):
        yield
    logger.setLevel(level)


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("ball", [L2FromZero(0.25), LinfFromZero(2 / 255)])
def test_the_same_points_from_the_same_start(victim: Any, ball: L2 | Linf, loss: str) -> None:
    """In float64. The peer compares the first step's loss with a 0 that it never filled in, we with the
    start's, so that now and then an image's first checkpoint decides otherwise.
    """
    from pyautoattack.autopgd_base import APGDAttack

    model, images, labels = victim.model, victim.images[:60].double(), victim.labels[:60]
    model.double()
    try:
        ours = apgd(model, images, labels, ball, loss=loss, steps=60)
        right = model(images).argmax(dim=1) == labels
        name = "L2" if isinstance(ball, L2) else "Linf"
        peer = APGDAttack(model, norm=name, eps=ball.radius, loss=loss, n_iter=60, device="cpu")
        peer.init_hyperparam(images)
        best, standing, _, _ = peer.attack_single_run(images, labels, x_init=images.clone())
    finally:
        model.float()
    assert torch.equal(~ours.success, standing & right)
    left = ~ours.success
    assert int(left.sum()) >= 20
    assert ((ours.images - images)[left].abs().amax(dim=(1, 2, 3)) > 0.005).all()
    same = (ours.images - best).abs().flatten(1).amax(dim=1)[left] <= 1e-3
    assert same.double().mean() >= 0.85


@pytest.mark.parametrize(("norm", "ball"), [("L2", L2(1.0)), ("Linf", Linf(7 / 255))])
def test_robust_accuracy_within_a_point_of_autoattack(victim: Any, norm: str, ball: L2 | Linf) -> None:
    """Half the standard's steps, one restart, all other classes as targets; and never weaker than PGD."""
    from pyautoattack import AutoAttack

    images, labels = victim.images[:200], victim.labels[:200]
    model = victim.model
    peer = AutoAttack(
        model, norm=norm, eps=ball.radius, version="custom", attacks=["apgd-ce", "apgd-dlr", "apgd-t"], seed=0
    )
    peer.apgd.n_restarts, peer.apgd_targeted.n_target_classes = 1, CLASSES - 1
    for part in (peer.apgd, peer.apgd_targeted):
        part.n_iter, part.n_iter_2, part.n_iter_min, part.size_decr = 50, 11, 3, 1
    theirs, _ = peer.run_standard_evaluation(images, labels, batch_size=200)
    ours = auto_attack(model, images, labels, ball, steps=50)
    plain = pgd(model, images, labels, ball, steps=50, step_size=0.1)
    found = (ours.images, theirs, plain.images)
    counts = [int((model(images).argmax(dim=1) == labels).sum()) for images in found]
    print(f"right of 200, ours, AutoAttack, PGD-50: {counts}; {Counter(ours.fooled_by)}")
    assert 20 < counts[1] < 120, "the attack is neither idle nor total"
    assert abs(counts[0] - counts[1]) <= 2
    assert counts[0] <= counts[2] + 2
