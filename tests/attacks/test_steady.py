"""Classifiers that answer otherwise the next time: refused where their mode is the cause, else told of."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from dualperturb import L2, UserError, apgd, auto_attack, jsma, nested_pgd, pgd
from dualperturb.attacks.smoothed import GaussianNoise, SmoothedClassifier

STEPS = {"steps": 1, "step_size": 0.5}
ATTACKS: dict[str, Callable[..., Any]] = {
    "pgd": partial(pgd, ball=L2(0.0), **STEPS),
    "nested_pgd": partial(nested_pgd, balls=[L2(0.0)], **STEPS),
    "apgd": partial(apgd, ball=L2(0.0), steps=1),
    "auto_attack": partial(auto_attack, ball=L2(0.0), steps=1),
    "jsma": partial(jsma, max_share=0.0),
}


def head(*parts: nn.Module) -> nn.Module:
    """A classifier of 8x8 images with these parts in the middle."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *parts, nn.Flatten(), nn.Linear(256, 4))


class Functional(nn.Module):
    """Asks for its mode in a method that its forward calls."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.fc(self.thinned(pixels.flatten(1)))

    def thinned(self, values: Tensor) -> Tensor:
        return F.dropout(values, 0.5, self.training)


class Attending(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention, self.fc = nn.MultiheadAttention(3, 1, dropout, batch_first=True), nn.Linear(3, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = pixels.flatten(2).transpose(1, 2)
        return self.fc(self.attention(tokens, tokens, tokens)[0].mean(dim=1))


def normed_by_a_hook() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old way, which torch advises against
        return head(nn.utils.spectral_norm(nn.Conv2d(4, 4, 1)))


def scripted(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model)


def traced(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, torch.rand(2, 3, 8, 8), check_trace=False)


class Wrapped:
    """A classifier that is no module, but has one."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def __call__(self, pixels: Tensor) -> Any:
        return self.inner(pixels)

    def predict(self, pixels: Tensor) -> Any:
        return self.inner(pixels)


def named(model: nn.Module) -> Callable[[Tensor], Any]:
    return lambda pixels: model(2 * pixels - 1)


REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "dropout": ("Dropout '1'", lambda: head(nn.Dropout())),
    "dropout of channels": ("Dropout2d '1'", lambda: head(nn.Dropout2d())),
    "a random slope": ("RReLU '1'", lambda: head(nn.RReLU())),
    "stochastic depth": ("StochasticDepth '1'", lambda: head(StochasticDepth(0.5, "row"))),
    "instance norm": ("InstanceNorm2d '1'", lambda: head(nn.InstanceNorm2d(4, track_running_stats=True))),
    "attention": ("MultiheadAttention 'attention'", lambda: Attending(0.1)),
    "functional": ("Functional ''", Functional),
    "spectral norm": ("Conv2d '1'", normed_by_a_hook),
    "parametrised": (
        "_SpectralNorm '1.parametrizations.weight.0'",
        lambda: head(nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 1))),
    ),
    "scripted": ("BatchNorm2d '1'", lambda: scripted(head(nn.BatchNorm2d(4)))),
    "scripted, its own": ("Functional ''", lambda: scripted(Functional())),
    "traced": ("Dropout '1'", lambda: traced(head(nn.Dropout()))),
    "in a function": ("Dropout '1'", lambda: named(head(nn.Dropout()))),
    "in an object": ("Dropout '1'", lambda: Wrapped(head(nn.Dropout()))),
    "in a partial": ("Dropout '1'", lambda: partial(head(nn.Dropout()))),
    "in a method's object": ("Dropout '1'", lambda: head(nn.Dropout()).forward),
}


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


LABELS = torch.zeros(4, dtype=torch.int64)


def seeded(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


@pytest.mark.parametrize(("names", "make"), REFUSED.values(), ids=REFUSED.keys())
def test_what_acts_otherwise_in_train_mode_is_refused_in_it(
    images: Tensor, names: str, make: Callable[[], Any]
) -> None:
    model = seeded(make)
    with pytest.raises(UserError, match=f"^model: found {names} in train mode; call model.eval\\(\\) first$"):
        pgd(model, images, LABELS, L2(0.0), **STEPS)
    if isinstance(model, nn.Module) and "traced" not in type(model).__name__.lower():
        model.eval()
        pgd(model, images, LABELS, L2(0.0), **STEPS)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_refuses_it(images: Tensor, attack: str) -> None:
    """In train mode, with nothing to spend, dropout alone fools a third of the images."""
    with pytest.raises(UserError, match="^model: found Dropout '1' in train mode"):
        ATTACKS[attack](seeded(lambda: head(nn.Dropout())), images, LABELS)


def test_scripted_statistics_stay(images: Tensor) -> None:
    model = seeded(lambda: scripted(head(nn.BatchNorm2d(4))))
    before = {name: values.clone() for name, values in model.named_buffers()}
    with pytest.raises(UserError, match="in train mode"):
        pgd(model, images, LABELS, L2(0.0), **STEPS)
    assert all(torch.equal(values, before[name]) for name, values in model.named_buffers())


@pytest.mark.parametrize(
    "make",
    [
        lambda: head(nn.Dropout(0.0)),
        lambda: head(nn.GroupNorm(2, 4), nn.GELU()),
        lambda: head(nn.InstanceNorm2d(4)),
        lambda: Attending(0.0),
        lambda: scripted(head(nn.ReLU())),
    ],
)
def test_what_acts_alike_in_both_modes_is_attacked_in_either(
    images: Tensor, capsys: pytest.CaptureFixture[str], make: Callable[[], Any]
) -> None:
    pgd(seeded(make).train(), images, LABELS, L2(0.1), **STEPS)
    assert capsys.readouterr().out == ""


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = head(nn.ReLU())

    def forward(self, pixels: Tensor) -> Tensor:
        return self.inner(pixels + 0.2 * torch.randn_like(pixels))


@pytest.mark.parametrize("attack", ATTACKS)
def test_answers_that_differ_are_told_of_once(
    images: Tensor, capsys: pytest.CaptureFixture[str], attack: str
) -> None:
    model = seeded(Noisy).eval()
    for _ in range(2):
        ATTACKS[attack](model, images, LABELS)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("model: its logits for the same images differ between two calls by up to ")
    assert line.endswith("; a success may be chance")


def test_looking_twice_draws_none_of_the_callers_random_numbers(images: Tensor) -> None:
    """So that the results of an attack on a random classifier are those of the caller's seed alone."""
    model = seeded(Noisy).eval()
    found = []
    for _ in range(2):  # only the first time it is looked at twice
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            found.append(pgd(model, images, LABELS, L2(0.5), **STEPS).images)
    assert torch.equal(*found)


def test_what_every_call_changes_is_told_of(images: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    """Traced in train mode, it stays there, whatever its mode says."""
    model = seeded(lambda: traced(head(nn.BatchNorm2d(4)))).eval()
    pgd(model, images, LABELS, L2(0.1), **STEPS)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "model: every call changes it, so that a success need not last; is it in train mode?"


def test_noise_on_purpose_is_not_told_of(images: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    inner = seeded(lambda: head(nn.ReLU())).eval()
    smoothed = SmoothedClassifier(inner, GaussianNoise(0.5), draws=2, seed=0, device=images.device)
    pgd(smoothed, images, LABELS, L2(0.1), **STEPS)
    assert capsys.readouterr().out == ""
