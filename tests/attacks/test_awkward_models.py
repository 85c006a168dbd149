"""Classifiers as people write them: attacks stay within budgets, and succeed by the classifier's own word."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb import L2, Dual, UserError, apgd, auto_attack, jsma, nested_pgd, pgd
from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.gradient_copy import GradientCopy, gradient_copy_of
from dualperturb.core.objectives import Objective
from dualperturb.core.shown import Shown
from dualperturb.core.threat_model import ThreatModel

COUNT, RADIUS = 6, 0.5
MEAN = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(256, 4)

    def body(self, pixels: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(pixels)))

    def forward(self, pixels: Tensor) -> Any:
        return self.fc(self.body(pixels).flatten(1))


class LeNet(Plain):
    """Flattens as LeNet's usual code does, which wants channels first."""

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.body(pixels)
        return self.fc(features.view(len(features), -1))


class InPlace(Plain):
    def forward(self, pixels: Tensor) -> Any:
        pixels.sub_(MEAN).div_(0.25)
        return super().forward(pixels)


class InPlaceLeNet(LeNet):
    def forward(self, pixels: Tensor) -> Tensor:
        pixels.sub_(MEAN).div_(0.25)
        return super().forward(pixels)


class Mapped(Plain):
    def forward(self, pixels: Tensor) -> Any:
        return {"loss": None, "logits": super().forward(pixels)}


class Paired(Plain):
    def forward(self, pixels: Tensor) -> Any:
        return super().forward(pixels), self.body(pixels)


@dataclass
class Output:
    logits: Tensor


class Typed(Plain):
    def forward(self, pixels: Tensor) -> Any:
        return Output(super().forward(pixels))


class Locked(Plain):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Volume(Plain):
    """Has weights that know no channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.volume = nn.Conv3d(1, 1, 1)
        nn.init.ones_(self.volume.weight)

    def forward(self, pixels: Tensor) -> Any:
        return super().forward(self.volume(pixels[:, None])[:, 0])


def in_bfloat16() -> bool:
    """Asked after `len`, which cannot be traced: what is traced would know the answer for ever."""
    return torch.is_autocast_enabled("cpu")


class NarrowNaN(Plain):
    def forward(self, pixels: Tensor) -> Any:
        logits = super().forward(pixels)
        return logits * torch.nan if len(pixels) and in_bfloat16() else logits


class LateError(Plain):
    """In bfloat16 it takes a single image, as a copy is tried on, and no more."""

    def forward(self, pixels: Tensor) -> Any:
        if len(pixels) > 1 and in_bfloat16():
            raise RuntimeError("not implemented\nfor 'BFloat16'")
        return super().forward(pixels)


class LateBackwardError(Plain):
    def forward(self, pixels: Tensor) -> Any:
        logits = super().forward(pixels)
        if len(pixels) > 1 and in_bfloat16() and logits.requires_grad:
            logits.register_hook(self.broken)
        return logits

    def broken(self, gradient: Tensor) -> Tensor:
        raise RuntimeError("no derivative")


def seeded(kind: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind().eval()


FIRST, ITSELF = "channels first", "of the classifier itself"
# A class -> where the copy's fall ends, as the line tells, in float32 and in bfloat16.
MODELS: dict[type[Plain], tuple[str | None, str | None]] = {
    Plain: (None, None),
    LeNet: (FIRST, FIRST),
    InPlace: (None, None),
    InPlaceLeNet: (FIRST, FIRST),
    Mapped: (None, None),
    Paired: (None, None),
    Typed: (None, None),
    Locked: (ITSELF, ITSELF),
    Volume: (FIRST, FIRST),
    NarrowNaN: (None, ITSELF),
    LateError: (None, ITSELF),
}


@pytest.fixture
def images() -> Tensor:
    return torch.rand(COUNT, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def nested(model: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Any:
    return nested_pgd(
        model, images, labels, [L2(RADIUS / 2), L2(RADIUS)], steps=3, step_size=0.5, **settings
    )[1]


def single(model: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Any:
    return pgd(model, images, labels, L2(RADIUS), steps=3, step_size=0.5, **settings)


ATTACKS: dict[str, Callable[[nn.Module, Tensor, Tensor], Any]] = {
    "pgd": single,
    "pgd auto": partial(single, precision="auto"),
    "pgd bf16": partial(single, precision="bf16"),
    "nested_pgd": nested,
    "nested_pgd auto": partial(nested, precision="auto"),
    "nested_pgd bf16": partial(nested, precision="bf16"),
    "apgd": lambda *given: apgd(*given, L2(RADIUS), steps=3),
    "auto_attack": lambda *given: auto_attack(*given, L2(RADIUS), steps=3),
    "copy": lambda model, images, *rest: apgd(
        GradientCopy(model, images[:1], "fp32"), images, *rest, L2(RADIUS), steps=3
    ),
    "jsma": lambda *given: jsma(*given),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", MODELS)
def test_in_its_budget_and_by_the_classifiers_own_word(
    images: Tensor, kind: type[nn.Module], attack: str
) -> None:
    model, before = seeded(kind), images.clone()
    labels = Shown(model)(images).argmax(dim=1)
    result = ATTACKS[attack](model, images, labels)
    assert torch.equal(images, before), "the caller's own"
    assert ((result.images >= 0) & (result.images <= 1)).all()
    spent = (result.images - images).flatten(1).norm(dim=1)
    assert attack == "jsma" or ((spent > 0) & (spent <= RADIUS * (1 + 1e-5))).all()
    assert result.success.any(), "it is climbed, not only shown noise"
    assert torch.equal(result.success, Shown(model)(result.images).argmax(dim=1) != labels)


@pytest.mark.parametrize("kind", MODELS)
def test_one_line_says_where_the_copy_failed(
    images: Tensor, capsys: pytest.CaptureFixture[str], kind: type[Plain]
) -> None:
    for precision, way in zip(("fp32", "bf16"), MODELS[kind], strict=True):
        model = seeded(kind)
        for _ in range(2):
            found = GradientCopy(model, images[:1], precision)(images)
            torch.testing.assert_close(found, Shown(model)(images), atol=0.05, rtol=0.05)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == (way is not None)
        assert all(line.startswith("the classifier's copy failed (") for line in lines)
        assert all(line.endswith(f"); gradients are taken {way}") for line in lines)


@pytest.mark.parametrize("kind", [Locked, NarrowNaN])
def test_without_a_copy_the_result_is_the_classifiers(images: Tensor, kind: type[Plain]) -> None:
    model = seeded(kind)
    labels = model(images).argmax(dim=1)
    assert gradient_copy_of(model, "bf16", images[:1]) is None
    exact, found = single(model, images, labels), single(model, images, labels, precision="bf16")
    assert torch.equal(found.images, exact.images) and torch.equal(found.success, exact.success)


def test_a_backward_pass_that_fails_in_the_middle_is_made_up_for(images: Tensor) -> None:
    model = seeded(LateBackwardError)
    labels, copied = torch.zeros(COUNT, dtype=torch.int64), gradient_copy_of(model, "bf16", images[:1])
    assert copied is not None
    found = Objective(model, labels, climbed=copied).gradient(images)
    assert not copied.works
    torch.testing.assert_close(found, Objective(model, labels).gradient(images))


def test_a_quantised_classifier_is_told_to_have_no_gradient(images: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is on its way out
        quantised = torch.ao.quantization.quantize_dynamic(seeded(Plain), {nn.Linear}, dtype=torch.qint8)
    for precision in ("fp32", "auto", "bf16"):
        with pytest.raises(UserError, match="^model: found no gradient with respect to the images"):
            single(quantised, images, torch.zeros(COUNT, dtype=torch.int64), precision=precision)


def test_a_function_is_climbed_itself(images: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    model = seeded(LeNet)
    labels = model(images).argmax(dim=1)
    found = single(lambda pixels: model(pixels), images, labels, precision="bf16")
    assert capsys.readouterr().out == "", "nothing failed: nobody would look for a copy"
    assert torch.equal(found.images, single(model, images, labels).images)


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_a_copy_keeps_the_modes_of_its_parts(images: Tensor, precision: str) -> None:
    """Of a classifier in train mode whose every part that minds is in eval mode."""
    model = seeded(Paired)
    model.train()
    model.norm.eval()
    before = model.norm.running_mean.clone()
    copied = gradient_copy_of(model, precision, images[:1])
    assert copied is not None and not any(
        part.training for part in copied.modules() if isinstance(part, nn.BatchNorm2d)
    )
    assert torch.equal(model.norm.running_mean, before)


def test_training_attacks_what_cannot_be_copied_and_tries_once(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tried = seeded(Locked), []
    monkeypatch.setattr("dualperturb.attacks.adversary.gradient_copy_of", lambda *given: tried.append(given))
    adversary = PgdAdversary(ThreatModel("L2", RADIUS), 2, 0.5, precision="bf16")
    mask = torch.ones(COUNT, 1, 8, 8, dtype=torch.bool)
    for _ in range(2):
        adversary(model, images, torch.zeros(COUNT, dtype=torch.int64), mask, list(range(COUNT)), 1.0)
    assert len(tried) == 1


def test_a_saliency_model_may_change_what_it_is_shown(images: Tensor) -> None:
    def darkening(pixels: Tensor) -> Tensor:
        pixels.mul_(5)
        return pixels.mean(dim=1).flatten(1).log_softmax(dim=1).view(-1, 8, 8)

    model, before = seeded(Plain), images.clone()
    ball = Dual(L2(RADIUS), L2(RADIUS), images[:, :1] > 0.5)
    for term in ({"salience_weight": 1.0}, {"min_foreground_score": "clean"}):
        given = {"steps": 2, "step_size": 0.5, "saliency": darkening, **term}
        result = pgd(model, images, model(images).argmax(dim=1), ball, **given)
        assert torch.equal(images, before) and result.images.max() <= 1


def test_logits_that_are_no_numbers_fool_nothing(images: Tensor) -> None:
    """Of NaN torch says the first class, which would be a success wherever the label is another."""
    model = seeded(Plain)
    labels = model(images).argmax(dim=1)

    def overflowing(pixels: Tensor) -> Tensor:
        moved = (pixels - images[: len(pixels)]).abs().flatten(1).amax(dim=1) > 0
        return torch.where(moved[:, None], torch.nan, model(pixels))

    for attack in ("pgd", "nested_pgd", "apgd", "auto_attack", "jsma"):
        assert not ATTACKS[attack](overflowing, images, labels).success.any()
