"""Margin, DLR and targeted DLR: their definitions, written out class by class."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dualperturb.attacks.losses import LOSSES, others, targeted_dlr
from dualperturb.core.losses import dlr, loss_named, margin
from dualperturb.errors import UserError

LOGITS = torch.tensor([[4.0, 1.0, 3.0, -2.0, 0.0], [0.5, 2.0, -1.0, 1.5, 0.0]])
LABELS = torch.tensor([0, 3])
TARGETS = torch.tensor([1, 1])


def random_logits(classes: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(classes)
    logits = torch.randn(50, classes, generator=random, dtype=torch.float64)
    return logits, torch.randint(classes, (50,), generator=random)


def test_dlr_by_hand() -> None:
    """-(4 - 3) / (4 - 1) for an image that is right, -(1.5 - 2) / (2 - 0.5) for one that is wrong."""
    torch.testing.assert_close(dlr(LOGITS, LABELS), torch.tensor([-1 / 3, 1 / 3]))


def test_margin_by_hand() -> None:
    """3 - 4 and 2 - 1.5."""
    torch.testing.assert_close(margin(LOGITS, LABELS), torch.tensor([-1.0, 0.5]))


def test_an_unknown_loss_is_refused_with_the_names_accepted() -> None:
    with pytest.raises(UserError, match=r"^loss: found 'ce', accepted are cross_entropy, margin, dlr$"):
        loss_named("ce")


def test_targeted_dlr_by_hand() -> None:
    """-(4 - 1) / (4 - (1 + 0) / 2) and -(1.5 - 2) / (2 - (0.5 + 0) / 2)."""
    expected = torch.tensor([-3 / 3.5, 0.5 / 1.75])
    torch.testing.assert_close(targeted_dlr(LOGITS, LABELS, TARGETS), expected)


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_every_untargeted_loss_tells_right_from_wrong(classes: int) -> None:
    logits, labels = random_logits(classes)
    wrong = logits.argmax(dim=1) != labels
    assert wrong.any() and not wrong.all()
    for loss in (margin, dlr):
        assert torch.equal(loss(logits, labels) > 0, wrong)
    likeliest = others(logits, labels)[:, 0]
    assert torch.equal(LOSSES["dlr-targeted"](logits, labels, likeliest) > 0, wrong)


@pytest.mark.parametrize(("name", "classes"), [("dlr", 3), ("dlr", 10), ("dlr-targeted", 4)])
def test_dlr_does_not_change_with_the_scale_and_the_shift_of_the_logits(name: str, classes: int) -> None:
    logits, labels = random_logits(classes)
    targets = others(logits, labels)[:, -1]
    before, after = (LOSSES[name](moved, labels, targets) for moved in (logits, 1000 * logits - 7))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize(("name", "classes"), [("dlr", 2), ("dlr-targeted", 2), ("dlr-targeted", 3)])
def test_with_too_few_classes_it_is_the_difference_of_logits(name: str, classes: int) -> None:
    logits, labels = random_logits(classes)
    targets = others(logits, labels)[:, 0]
    rows = torch.arange(len(labels))
    expected = logits[rows, targets] - logits[rows, labels]
    torch.testing.assert_close(LOSSES[name](logits, labels, targets), expected)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_equal_logits_give_finite_losses_and_gradients(name: str, classes: int) -> None:
    logits = torch.zeros(2, classes, requires_grad=True)
    value = LOSSES[name](logits, torch.tensor([0, 1]), torch.tensor([1, 0]))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert value.isfinite().all() and gradient.isfinite().all()


def test_the_other_classes_from_the_likeliest_down() -> None:
    assert others(LOGITS, LABELS).tolist() == [[2, 1, 4, 3], [1, 0, 4, 2]]
    assert others(torch.zeros(1, 4), torch.tensor([2])).tolist() == [[0, 1, 3]]
