"""JSMA, the L0 attack by saliency maps, for whole batches and with memory linear in the pixels.

Papernot et al. 2016 (arXiv:1511.07528), algorithm 1: until the goal is reached or the budget is spent, change
the feature of the largest saliency S = dF_t * |sum of the other dF_j|, where dF_t > 0 and the sum is < 0.
Three points are open there, or need a choice for colour images of many pixels:

- F is the softmax. Its derivatives sum to 0, so S is the square of dF_t, and one backward pass gives it. The
  derivatives of the log-odds, dF_t / (F_t (1 - F_t)), rank the features alike and do not vanish where F
  saturates. Single features, as in algorithm 1: the pairs of algorithm 3 need a matrix over all pairs.
- Untargeted, the map is the label's with the sign reversed, and a pixel may become brighter or darker: the
  non-targeted and maximal JSMA of Wiyatno and Xu 2018 (arXiv:1808.07945). Random targets, as other libraries
  draw them, leave the result to chance; with the likeliest other class as target the attack was as strong or
  weaker, to within 1 point, on two small classifiers.
- A pixel is a place (row, column), however many of its channels change: the budget is the L0 norm over
  places. A place's saliency is the sum of its channels' square roots of S; all its salient channels change.

The loop leaves the classifier as it is: its mode, its parameters and their gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dualperturb.core.checks import check_counts, is_number
from dualperturb.core.gradients import gradient_of
from dualperturb.core.problem import posed
from dualperturb.core.result import BrokenThreatModelError
from dualperturb.core.shown import Shown
from dualperturb.errors import UserError

NEVER = -1  # in `first_fooled`
CHANGES = ("either", "increase", "decrease")
SMALLEST_THETA = 1 / 255


@dataclass(frozen=True)
class JsmaResult:
    """images: (N, C, H, W) in [0, 1], each as it was when the goal was reached, or when the attack stopped.

    success: bool (N,), the goal was reached; first_fooled: int64 (N,), the number of pixels changed by then,
    0 for an image that needed none, NEVER (-1) without success; changed: int64 (N,), that number in `images`.
    """

    images: Tensor
    success: Tensor
    first_fooled: Tensor
    changed: Tensor


def jsma(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    max_share: float = 0.1,
    pixels_per_step: int = 1,
    theta: float = 1.0,
    change: str = "either",
    targets: Tensor | None = None,
) -> JsmaResult:
    """Attack `model` by changing at most `max_share` of each image's pixels.

    model, images, labels: as in `pgd`. targets: int64 (N,); the goal is then this class, else any class but
    the label.
    max_share: the budget, a share of the H * W pixels, rounded down to whole pixels.
    theta: a channel's change per step, 1/255 to 1, clipped to [0, 1]; with 1 it goes to a bound at once.
    change: "either" lets a channel become brighter or darker, whichever helps (never both in turn);
    "increase" and "decrease" are the directions of Papernot et al., who take one for the whole attack.
    pixels_per_step: 1 in algorithm 1. A step is one forward and one backward pass, so k pixels per step
    divide the time by about k (224x224, 10 %: 5,017 pixels), but cost some strength, since one gradient
    chooses all k, and `first_fooled` grows by up to k at a time.

    An image leaves the batch when its goal is reached, when the next step needs a pixel beyond the budget, or
    when no pixel is salient. With one pixel per step its path does not depend on the budget, so that one
    run over the largest budget gives exactly the results of all smaller ones; see `withstood`.

    Raises UserError for images outside [0, 1], labels or targets that do not fit them, and a max_share,
    pixels_per_step, theta or change that is not accepted; and for a model as `pgd` does.
    """
    problem = posed(model, images, labels, targets=targets)
    _check(labels, pixels_per_step, theta, change, targets)
    wide = problem.images
    budget = pixel_budget(max_share, images[0, 0].numel() if len(images) else 0)
    steered = labels if targets is None else targets
    climb = _Climb(problem.logits_of, targets is not None)
    found = wide.clone()
    first, changed = torch.full_like(labels, NEVER), torch.zeros_like(labels)
    # Copies, because tensors made in inference mode cannot be differentiated, nor saved for a backward pass.
    rows = torch.arange(len(labels), device=labels.device)
    search = _Search(rows, wide, wide.clone(), steered.clone())
    while len(search.rows):
        gradient, reached = climb(search.now, search.steered)
        spent = search.changed.sum(dim=1)
        after = _step(search, gradient, _salient(gradient, search, change), budget, pixels_per_step, theta)
        left = (~reached & (after != search.now).flatten(1).any(dim=1)).nonzero().flatten()
        if len(left) < len(after):  # known after the step's only wait for a GPU
            found[search.rows], changed[search.rows] = search.now, spent  # those left are written again later
            first[search.rows] = torch.where(reached, spent, NEVER)
            search, after = search.those(left), after[left]
        search = search._replace(now=after)
    if not ((found >= 0) & (found <= 1)).all() or (changed > budget).any():
        raise BrokenThreatModelError(
            f"jsma: found pixels from {float(found.min()):.8g} to {float(found.max()):.8g} and up to "
            f"{int(changed.max())} of them changed, expected 0 to 1 and at most {budget}"
        )
    return JsmaResult(found, first != NEVER, first, changed)


def withstood(first_fooled: Tensor, share: float, pixels: int) -> Tensor:
    """Whether each image is still right, bool (N,), when this share of its pixels may change.

    first_fooled: of a `JsmaResult` of an untargeted run whose max_share was at least `share`; pixels: H * W.
    Raises UserError for a share outside [0, 1].
    """
    return (first_fooled == NEVER) | (first_fooled > pixel_budget(share, pixels))


def pixel_budget(share: float, pixels: int) -> int:
    """Whole pixels within `share` of `pixels`. Raises UserError for a share outside [0, 1]."""
    if not is_number(share) or not 0 <= share <= 1:
        raise UserError(f"max_share: expected a share of the pixels from 0 to 1, got {share}")
    return math.floor(share * pixels + 1e-9)  # 0.29 * 100 is 28.999... in floating point


class _Search(NamedTuple):
    """The images still attacked: positions in the batch, clean images, present images, classes of the map."""

    rows: Tensor
    clean: Tensor
    now: Tensor
    steered: Tensor

    @property
    def changed(self) -> Tensor:
        """The pixels changed so far, bool (n, H * W)."""
        return (self.now != self.clean).any(dim=1).flatten(1)

    def those(self, kept: Tensor) -> _Search:
        return _Search(*(part[kept] for part in self))


@dataclass(frozen=True)
class _Climb:
    """The direction that helps: towards the target, or away from the label."""

    model: Shown
    targeted: bool

    def __call__(self, images: Tensor, steered: Tensor) -> tuple[Tensor, Tensor]:
        """(n, C, H, W) -> the log-odds' derivatives, signed so that ascent helps; goal reached, bool (n,)."""
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = self.model(images)
            wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
            own = torch.zeros_like(wide, dtype=torch.bool).scatter(1, steered[:, None], True)
            odds = wide.gather(1, steered[:, None])[:, 0] - wide.masked_fill(own, -torch.inf).logsumexp(dim=1)
            gradient = gradient_of("model", odds, images)
        reached = ((logits.argmax(dim=1) == steered) == self.targeted) & ~logits.isnan().any(dim=1)
        return (gradient if self.targeted else -gradient), reached


def _salient(gradient: Tensor, search: _Search, change: str) -> Tensor:
    """The channels that may move in the gradient's direction, bool (n, C, H, W).

    A channel moves only away from its clean value, so that none goes to and fro; saturated ones drop out.
    """
    up = (gradient > 0) & (search.now < 1) & (search.now >= search.clean)
    down = (gradient < 0) & (search.now > 0) & (search.now <= search.clean)
    if change == "either":
        return up | down
    return up if change == "increase" else down


def _step(
    search: _Search, gradient: Tensor, salient: Tensor, budget: int, pixels_per_step: int, theta: float
) -> Tensor:
    """The images with the most salient pixels changed, within the budget; those changed before are free."""
    changed = search.changed
    saliency = torch.where(salient, gradient.abs(), 0).sum(dim=1).flatten(1)
    value, place = saliency.topk(min(pixels_per_step, saliency.shape[1]), dim=1)
    spare = budget - changed.sum(dim=1, keepdim=True)
    new = ~changed.gather(1, place)
    taken = (value > 0) & (new.cumsum(dim=1) <= spare)
    chosen = torch.zeros_like(changed).scatter(1, place, taken).view_as(search.now[:, :1])
    moved = (search.now + theta * gradient.sign()).clamp(0, 1)
    return torch.where(chosen & salient, moved, search.now)


def _check(labels: Tensor, pixels_per_step: int, theta: float, change: str, targets: Tensor | None) -> None:
    if targets is not None and (targets == labels).any():
        raise UserError(
            f"targets: expected other classes than the labels, got {int(targets[targets == labels][0])}"
        )
    check_counts({"pixels_per_step": pixels_per_step})
    if not is_number(theta) or not SMALLEST_THETA <= theta <= 1:
        raise UserError(f"theta: expected a change of a channel from 1/255 to 1, got {theta}")
    if change not in CHANGES:
        raise UserError(f"change: found {change!r}, accepted are {', '.join(CHANGES)}")
