"""Gaussian noise in training, and the expectation over noise that an attack climbs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, pgd
from dualperturb.attacks.smoothed import GaussianNoise, SmoothedClassifier, draw, generator
from dualperturb.errors import UserError
from dualperturb.saliency.center import centre_disc

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
CPU = torch.device("cpu")


class Recorder(nn.Module):
    """Keeps what it was given; two classes, whose logits are the sum of the pixels and its negative."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        total = images.flatten(1).sum(dim=1)
        return torch.stack([total, -total], dim=1)


def noisy(sigma: float, images: Tensor, seeds: list[int], share: float = 1.0) -> Tensor:
    labels, foreground = torch.zeros(len(images), dtype=torch.int64), torch.ones(1, dtype=torch.bool)
    return GaussianNoise(sigma)(Recorder(), images, labels, foreground, seeds, share)


def test_training_noise_is_gaussian_and_not_clipped() -> None:
    images = torch.rand(40, 3, 32, 32, generator=generator(0, CPU))
    found = noisy(0.25, images, list(range(40)))
    noise = (found - images).flatten()
    assert noise.mean().item() == pytest.approx(0, abs=0.003)
    assert noise.std().item() == pytest.approx(0.25, rel=0.01)
    assert (noise.abs() < 0.25).float().mean().item() == pytest.approx(0.6827, abs=0.005)
    assert found.min() < -0.3 and found.max() > 1.3


def test_training_noise_of_an_image_follows_from_its_seed_alone() -> None:
    images = torch.rand(4, 3, 5, 5, generator=generator(0, CPU))
    whole = noisy(0.5, images, [3, 9, 4, 9])
    assert torch.equal(noisy(0.5, images[[2, 0]], [4, 3]), whole[[2, 0]])
    noise = whole - images
    torch.testing.assert_close(noise[1], noise[3])
    assert (noise[0] - noise[1]).abs().max() > 0.1


def test_the_share_scales_the_noise() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert torch.equal(noisy(0.5, images, [1, 2], share=0.5), 0.5 * noisy(0.5, images, [1, 2]))
    assert not noisy(0.5, images, [1, 2], share=0.0).any()


@pytest.mark.parametrize("sigma", [0.0, -0.1, float("inf"), float("nan")])
def test_a_sigma_out_of_range_is_refused(sigma: float) -> None:
    with pytest.raises(UserError, match=f"^sigma: expected a positive finite number, got {sigma}$"):
        GaussianNoise(sigma)
    with pytest.raises(UserError, match="^sigma: "):
        GaussianNoise(0.1, sigma)


def test_noise_by_region_has_the_sigma_of_each_pixels_region() -> None:
    images, seeds = torch.zeros(30, 3, 16, 16), list(range(30))
    foreground = torch.rand(30, 1, 16, 16, generator=generator(1, CPU)) < 0.3
    labels = torch.zeros(30, dtype=torch.int64)
    unit = GaussianNoise(1.0)(Recorder(), images, labels, foreground, seeds, 1.0)
    found = GaussianNoise(0.5, 2.0)(Recorder(), images, labels, foreground, seeds, 1.0)
    torch.testing.assert_close(found, torch.where(foreground, 0.5 * unit, 2 * unit))
    fixed = GaussianNoise(0.5, 2.0, fixed=True)(Recorder(), images, labels, foreground, seeds, 1.0)
    torch.testing.assert_close(fixed, torch.where(centre_disc(16, 16), 0.5 * unit, 2 * unit))


@pytest.mark.parametrize(
    ("noise", "budgets", "radius"),
    [
        (GaussianNoise(0.25), (3, 4), 5),
        (GaussianNoise(0.25, 0.25), (3, 4), 5),
        (GaussianNoise(1.0, 2.0), (3, 8), 5),
        (GaussianNoise(2.0, 0.5), (6, 2), 2.5),
        (GaussianNoise(0.25, 8.0), (0, 0), 0),
    ],
)
def test_the_radius_of_two_budgets(noise: GaussianNoise, budgets: tuple[int, int], radius: float) -> None:
    assert noise.radius(*budgets) == pytest.approx(radius)


def test_noise_by_region_is_not_climbed() -> None:
    with pytest.raises(UserError, match=r"^noise: found \(0.25, 2.0\) by region; accepted: the same in both"):
        SmoothedClassifier(Recorder(), GaussianNoise(0.25, 2.0), 2, 0, CPU)


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 1, 1), (3, 4, 4), (3, 16, 16)])
def test_noise_does_not_depend_on_how_many_are_drawn_at_a_time(shape: tuple[int, int, int]) -> None:
    whole = draw(11, shape, torch.float32, generator(5, CPU))
    source = generator(5, CPU)
    parts = [draw(count, shape, torch.float32, source) for count in (1, 3, 7)]
    assert torch.equal(torch.cat(parts), whole)
    assert len(whole.flatten(1).unique(dim=0)) == 11


def test_the_value_is_the_log_of_the_mean_softmax_over_the_draws(parts: Parts) -> None:
    model, images, _, _ = parts(5)
    recorder = Recorder()
    SmoothedClassifier(recorder, GaussianNoise(0.3), 7, 1, CPU)(images)
    (copies,) = recorder.seen
    noise = copies.view(5, 7, 3, 8, 8) - images.unsqueeze(1)
    torch.testing.assert_close(noise, noise[:1].expand_as(noise))  # the same for all images
    assert noise[0].std().item() == pytest.approx(0.3, rel=0.05)
    with torch.no_grad():
        expected = torch.stack([model(images + one).softmax(dim=1) for one in noise[0]]).mean(dim=0).log()
        found = SmoothedClassifier(model, GaussianNoise(0.3), 7, 1, CPU)(images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(5))


def test_every_pass_draws_new_noise_and_a_new_wrapper_begins_again() -> None:
    images = torch.full((2, 3, 4, 4), 0.5)

    def passes(seed: int) -> list[Tensor]:
        recorder = Recorder()
        smoothed = SmoothedClassifier(recorder, GaussianNoise(0.3), 2, seed, CPU)
        smoothed(images), smoothed(images)
        return recorder.seen

    first, again, other = passes(4), passes(4), passes(5)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.isclose(first[0], first[1]).any(dim=0).all()
    assert not torch.equal(first[0], other[0])


def test_a_confident_classifier_still_gives_a_gradient() -> None:
    images = torch.full((1, 3, 4, 4), 2.0, requires_grad=True)  # probabilities 1 and exp(-192)
    value = SmoothedClassifier(Recorder(), GaussianNoise(0.01), 3, 0, CPU)(images)[0, 1]
    assert value.item() == pytest.approx(-192, abs=2)
    (gradient,) = torch.autograd.grad(value, images)
    torch.testing.assert_close(gradient, torch.full_like(images, -2.0))


def test_the_wrapper_leaves_the_model_as_it_is(parts: Parts) -> None:
    model, images, labels, foreground = parts(4)
    for mode in (True, False):
        assert SmoothedClassifier(model.train(mode), GaussianNoise(0.1), 2, 0, CPU).training is mode
        assert model.training is mode
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ball = Dual(L2(0.2), L2(0.5), foreground)
    pgd(
        SmoothedClassifier(model, GaussianNoise(0.1), 2, 0, CPU), images, labels, ball, steps=3, step_size=0.5
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model[0].weight.grad is None


def test_no_draws_are_refused() -> None:
    with pytest.raises(UserError, match="^draws: expected at least 1, got 0$"):
        SmoothedClassifier(Recorder(), GaussianNoise(0.1), 0, 0, CPU)
