"""JSMA: the definition by hand, the budget, the curve of one run, and the same result for every batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dualperturb import UserError
from dualperturb.attacks.jsma import NEVER, JsmaResult, jsma, pixel_budget, withstood

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
LOOKS = 2  # at a classifier that is new: whether it answers alike twice


def linear(weight: Tensor, bias: float = 0.0) -> Callable[[Tensor], Tensor]:
    """Logits (N, 2): 0, and the weighted sum of the pixels less `bias`."""

    def logits(images: Tensor) -> Tensor:
        score = (images * weight).flatten(1).sum(dim=1) - bias
        return torch.stack([torch.zeros_like(score), score], dim=1)

    return logits


def grey(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).view(1, 1, len(rows), -1)


CORNERS = (torch.rand(4, 3, 3, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.5).double()


def prototypes(images: Tensor) -> Tensor:
    """Logits (N, 4) by the distances from three corners of the pixel range a class."""
    distance = ((images[:, None, None] - CORNERS) ** 2).flatten(3).sum(dim=3)
    return (-distance).logsumexp(dim=2)


def between(count: int) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 8, 8), float64, from noise to near a corner, and the labels that `prototypes` gives."""
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(count, 3, 8, 8, generator=random, dtype=torch.float64)
    near = torch.linspace(0, 0.6, count, dtype=torch.float64).view(-1, 1, 1, 1)
    images = near * CORNERS[torch.arange(count) % 4, 0] + (1 - near) * noise
    return images, prototypes(images).argmax(dim=1)


LABEL = torch.zeros(1, dtype=torch.int64)
WEIGHT = grey([3.0, -5.0, 1.0], [4.0, -2.0, 0.5])
START = grey([0.5, 0.5, 0.5], [1.0, 0.5, 0.5])  # the weight 4 can only go down; score 2.75


@pytest.mark.parametrize(
    ("change", "bias", "first", "expected"),
    [
        # -5 down: 5.25, 3 up: 6.75, -2 down: 7.75
        ("either", 5.0, 1, grey([0.5, 0.0, 0.5], [1.0, 0.5, 0.5])),
        ("either", 6.5, 2, grey([1.0, 0.0, 0.5], [1.0, 0.5, 0.5])),
        ("either", 7.5, 3, grey([1.0, 0.0, 0.5], [1.0, 0.0, 0.5])),
        # 3 up: 4.25, 1 up: 4.75, 0.5 up: 5
        ("increase", 4.5, 2, grey([1.0, 0.5, 1.0], [1.0, 0.5, 0.5])),
        ("increase", 6.0, NEVER, grey([1.0, 0.5, 1.0], [1.0, 0.5, 1.0])),
        ("decrease", 6.0, 2, grey([0.5, 0.0, 0.5], [1.0, 0.0, 0.5])),
        ("decrease", 7.0, NEVER, grey([0.5, 0.0, 0.5], [1.0, 0.0, 0.5])),
    ],
)
def test_a_linear_classifier_by_hand(change: str, bias: float, first: int, expected: Tensor) -> None:
    """The largest weights first, in the directions allowed; what is saturated is never taken."""
    result = jsma(linear(WEIGHT, bias), START, LABEL, max_share=1.0, change=change)
    assert torch.equal(result.images, expected)
    assert result.first_fooled.tolist() == [first] and result.success.tolist() == [first != NEVER]
    assert result.changed.tolist() == [int((expected != START).sum())]


def test_a_pixel_is_a_place_and_counts_the_sum_of_its_channels() -> None:
    """Place 0 holds the largest channel, place 1 the largest sum; all three channels of a place change."""
    weight = torch.tensor([[4.0, 2.0], [0.0, -3.0], [0.0, 1.0]]).view(1, 3, 1, 2)
    images = torch.full((1, 3, 1, 2), 0.5)
    result = jsma(linear(weight, 100), images, LABEL, max_share=0.5)
    assert result.images[0, :, 0, 0].tolist() == [0.5, 0.5, 0.5]
    assert result.images[0, :, 0, 1].tolist() == [1.0, 0.0, 1.0]
    assert result.changed.tolist() == [1]


def test_a_small_theta_returns_to_a_pixel_until_it_is_saturated() -> None:
    seen: list[list[float]] = []

    def watched(images: Tensor) -> Tensor:
        seen.append(images.flatten().tolist())
        return linear(grey([2.0, 1.0]), 100)(images)

    result = jsma(watched, grey([0.5, 0.75]), LABEL, max_share=1.0, theta=0.25)
    assert seen[LOOKS:] == [[0.5, 0.75], [0.75, 0.75], [1.0, 0.75], [1.0, 1.0]]
    assert result.changed.tolist() == [2] and not result.success.any()


@pytest.mark.parametrize(("best", "end"), [(0.6, 0.75), (0.4, 0.25)])
def test_a_channel_never_goes_to_and_fro(best: float, end: float) -> None:
    """The best value is passed: a walk back would be salient, and would never end."""
    looks: list[float] = []

    def hill(images: Tensor) -> Tensor:
        looks.append(images.item())
        assert len(looks) < 9
        return linear(grey([1.0]), 5)(-((images - best) ** 2))

    result = jsma(hill, grey([0.5]), LABEL, max_share=1.0, theta=0.25)
    assert result.images.item() == end and looks[LOOKS:] == [0.5, end]


def test_targeted_the_goal_is_the_target() -> None:
    """Three classes, one a pixel: an untargeted attack takes the strongest, a targeted one its own."""

    def three(images: Tensor) -> Tensor:
        return images.flatten(1) * torch.tensor([1.0, 3.0, 2.0]) + torch.tensor([1.0, 0.0, 0.0])

    images = torch.zeros(1, 1, 1, 3)
    free = jsma(three, images, LABEL, max_share=1.0)
    aimed = jsma(three, images, LABEL, max_share=1.0, targets=torch.tensor([2]))
    assert free.images.flatten().tolist() == [0, 1, 0] and aimed.images.flatten().tolist() == [0, 0, 1]
    assert free.success.all() and aimed.success.all() and aimed.first_fooled.tolist() == [1]


def test_a_classifier_surer_than_float32_can_tell_is_attacked_in_the_same_order() -> None:
    """Its probabilities are 1 and 0 and their derivatives vanish; the log-odds' do not."""
    sure = linear(WEIGHT * 100, 750)
    assert sure(START).softmax(dim=1).tolist() == [[1.0, 0.0]]
    result = jsma(sure, START, LABEL, max_share=1.0)
    assert result.success.all() and result.first_fooled.tolist() == [3]


@given(
    channels=st.sampled_from([1, 3]),
    share=st.floats(0, 1),
    step=st.integers(1, 9),
    theta=st.floats(1 / 255, 1),
    change=st.sampled_from(["either", "increase", "decrease"]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 2**31),
)
def test_budget_and_pixel_range_hold(
    channels: int, share: float, step: int, theta: float, change: str, dtype: torch.dtype, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(3, channels, 3, 4, generator=random).mul(1.4).sub(0.2).clamp(0, 1).to(dtype)
    weight = torch.randn(channels, 3, 4, generator=random)
    labels = torch.zeros(3, dtype=torch.int64)

    def model(pixels: Tensor) -> Tensor:
        assert pixels.dtype == dtype and pixels.min() >= 0 and pixels.max() <= 1
        return linear(weight.to(dtype), 4.0)(pixels)

    settings = {"max_share": share, "pixels_per_step": step, "theta": theta, "change": change}
    result = jsma(model, images, labels, **settings)
    wide = images.to(result.images.dtype)
    assert result.images.min() >= 0 and result.images.max() <= 1
    assert torch.equal((result.images != wide).any(dim=1).flatten(1).sum(dim=1), result.changed)
    assert (result.changed <= pixel_budget(share, 12)).all()
    assert torch.equal(result.success, model(result.images.to(dtype)).argmax(dim=1) != labels)
    assert torch.equal(result.first_fooled, torch.where(result.success, result.changed, NEVER))
    if change != "either":
        assert ((result.images - wide) * (1 if change == "increase" else -1) >= 0).all()


def test_one_run_gives_the_results_of_every_smaller_budget() -> None:
    images, labels = between(24)
    whole = jsma(prototypes, images, labels, max_share=0.5)
    kept = {share: withstood(whole.first_fooled, share, 64) for share in (0, 0.05, 0.1, 0.25, 0.5)}
    right = [int(those.sum()) for those in kept.values()]
    assert right[0] == 24 and right == sorted(right, reverse=True) and len(set(right)) > 3
    for share in (0.05, 0.1, 0.25):
        alone = jsma(prototypes, images, labels, max_share=share)
        within = whole.success & (whole.first_fooled <= pixel_budget(share, 64))
        assert torch.equal(alone.success, within) and torch.equal(~within, kept[share])
        assert torch.equal(alone.first_fooled, torch.where(within, whole.first_fooled, NEVER))


def test_more_pixels_a_step_take_fewer_steps(parts: Parts) -> None:
    model, images, labels, _ = parts(4)
    calls: list[int] = []

    def counted(pixels: Tensor) -> Tensor:
        calls.append(len(pixels))
        return model(pixels) + 1e4 * nn.functional.one_hot(labels[: len(pixels)], 4)  # never fooled

    lengths = []
    for step in (1, 4):
        calls.clear()
        result = jsma(counted, images, labels, max_share=0.25, pixels_per_step=step)
        assert result.changed.tolist() == [16] * 4
        lengths.append(len(calls))
    assert lengths[0] >= 17 and 5 <= lengths[1] <= lengths[0] / 2


def test_fooled_images_leave_the_batch_and_wrong_ones_cost_nothing() -> None:
    sizes: list[int] = []

    def counted(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return linear(torch.ones(1, 1, 1, 4), 2.5)(images)

    start = torch.tensor([[1.0, 1, 1, 1], [0, 0.5, 1, 0.9], [0, 0, 0, 0]]).view(3, 1, 1, 4)
    result = jsma(counted, start, torch.zeros(3, dtype=torch.int64), max_share=1.0)
    assert sizes[LOOKS:] == [3, 2, 1, 1]
    assert result.first_fooled.tolist() == [0, 1, 3]
    assert torch.equal(result.images[0], start[0])


def test_the_same_images_for_every_batch_size_and_order() -> None:
    images, labels = between(24)

    def attacked(rows: list[int]) -> JsmaResult:
        return jsma(prototypes, images[rows], labels[rows], max_share=0.1, pixels_per_step=2)

    whole = attacked(list(range(24)))
    assert whole.success.any() and not whole.success.all()
    for rows in ([5], [3, 2, 1], list(range(23, -1, -1))):
        part = attacked(rows)
        assert torch.equal(part.images, whole.images[rows])
        assert torch.equal(part.first_fooled, whole.first_fooled[rows])


def test_memory_grows_with_the_pixels_not_with_their_pairs() -> None:
    """150,528 features: a matrix over pairs of them would take 90 GB."""
    model = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(147, 3)).eval()
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        label = model(images).argmax(dim=1)
    assert jsma(model, images, label, max_share=5 / 224**2).changed.item() <= 5


@pytest.mark.parametrize("training", [True, False])
def test_the_callers_things_are_left_as_they_were(parts: Parts, training: bool) -> None:
    model, images, labels, _ = parts()
    model.train(training)
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[5].weight.grad = torch.full_like(model[5].weight, 7.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images.requires_grad_(True)
    pixels, stream = images.detach().clone(), torch.get_rng_state()

    with torch.no_grad():
        result = jsma(model, images, labels)

    assert result.changed.max() > 0
    assert torch.equal(torch.get_rng_state(), stream)
    assert model.training is training and not model[1].training
    assert not model[0].weight.requires_grad and model[5].weight.requires_grad
    assert (model[5].weight.grad == 7).all() and model[5].bias.grad is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert images.requires_grad and images.grad is None and torch.equal(images.detach(), pixels)
    assert not result.images.requires_grad


def test_tensors_made_in_inference_mode(parts: Parts) -> None:
    model, images, labels, _ = parts(3)
    expected = jsma(model, images, labels)
    with torch.inference_mode():
        given = images.clone(), labels.clone()
    assert torch.equal(jsma(model, *given).images, expected.images)


def test_no_images_at_all(parts: Parts) -> None:
    model, images, labels, _ = parts(2)
    result = jsma(model, images[:0], labels[:0])
    assert result.images.shape == (0, 3, 8, 8) and result.first_fooled.shape == (0,)
    assert withstood(result.first_fooled, 0.1, 64).shape == (0,)


def test_a_share_is_rounded_down_to_whole_pixels() -> None:
    assert [pixel_budget(share, 100) for share in (0, 0.07, 0.29, 0.295, 1)] == [0, 7, 29, 29, 100]
    assert pixel_budget(0.1, 224**2) == 5017
    first = torch.tensor([0, 7, 8, NEVER])
    assert withstood(first, 0, 100).tolist() == [False, True, True, True]
    assert withstood(first, 0.07, 100).tolist() == [False, False, True, True]
    assert withstood(first, 0.08, 100).tolist() == [False, False, False, True]
    with pytest.raises(UserError, match="max_share"):
        withstood(first, 1.5, 100)


GOOD = torch.full((2, 3, 8, 8), 0.5)
LABELS = torch.tensor([0, 3])
MISTAKES = {
    "too bright": ("images", {"images": GOOD * 2.1}),
    "not a number": ("images", {"images": GOOD * float("nan")}),
    "one image without its batch": ("images", {"images": GOOD[0]}),
    "label of no class": ("labels", {"labels": torch.tensor([0, 4])}),
    "negative label": ("labels", {"labels": torch.tensor([0, -1])}),
    "too few labels": ("labels", {"labels": LABELS[:1]}),
    "target of no class": ("labels", {"targets": torch.tensor([1, 4])}),
    "too few targets": ("targets", {"targets": torch.tensor([1])}),
    "target is the label": ("targets", {"targets": torch.tensor([1, 3])}),
    "share above 1": ("max_share", {"max_share": 10.0}),
    "share nan": ("max_share", {"max_share": float("nan")}),
    "no pixels a step": ("pixels_per_step", {"pixels_per_step": 0}),
    "theta negative": ("theta", {"theta": -1.0}),
    "theta as text": ("theta", {"theta": "1"}),
    "share as text": ("max_share", {"max_share": "0.1"}),
    "half a pixel a step": ("pixels_per_step", {"pixels_per_step": 1.5}),
    "theta nan": ("theta", {"theta": float("nan")}),
    "unknown change": ("change", {"change": "both"}),
}


@pytest.mark.parametrize(("names", "wrong"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_that_names_the_argument(
    parts: Parts, names: str, wrong: dict[str, object]
) -> None:
    with pytest.raises(UserError) as caught:
        jsma(parts(2)[0], **({"images": GOOD, "labels": LABELS} | wrong))
    assert str(caught.value).startswith(f"{names}: ") and "\n" not in str(caught.value)
