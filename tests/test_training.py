from __future__ import annotations

import copy
import math
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.params.training import Augment, Optimiser
from dualperturb.training.checkpoint import epochs_done, read_checkpoint
from dualperturb.training.loop import Epoch, TrainingSettings, train
from dualperturb.training.losses import cross_entropy

OPTIMISER = Optimiser(
    batch_size=16, learning_rate=0.05, momentum=0.9, weight_decay=5e-4, schedule="one_cycle"
)
SETTINGS = TrainingSettings(OPTIMISER, Augment(pad=2, flip=True), epochs=2, warmup_epochs=0, seed=3)
ADVERSARIES = {
    "clean": None,
    "at_pgd": PgdAdversary(ThreatModel("L2", 0.3), steps=2, step_size=0.5),
    "at_dual": PgdAdversary(ThreatModel("L2", 0.3, 3.0), steps=2, step_size=0.5),
}


def image_set(count: int = 64, side: int = 16) -> ImageSet:
    """Three classes told apart by the brightest colour channel."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = random.integers(0, 120, (count, 3, side, side), dtype=np.uint8)
    images[np.arange(count), labels] += 60
    return ImageSet(images, labels.astype(np.int64), ("red", "green", "blue"))


def masks(data: ImageSet) -> np.ndarray:
    foreground = np.zeros((len(data), 1, data.side, data.side), dtype=bool)
    foreground[..., 4:12, 4:12] = True
    return foreground


def network(dropout: float = 0.2) -> nn.Module:
    """Convolution, BatchNorm, dropout: one layer of each kind that could spoil a repeated run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.BatchNorm1d(8),
            nn.Dropout(dropout),
            nn.Linear(8, 3),
        )


def quiet(*_: object) -> None: ...


def trained(
    folder: Path,
    settings: TrainingSettings = SETTINGS,
    adversary: object = None,
    model: nn.Module | None = None,
    data: ImageSet | None = None,
    progress: Callable[..., None] = quiet,
) -> tuple[dict[str, Tensor], list[Epoch]]:
    model, data = model or network(), data or image_set()
    history = train(model, data, masks(data), adversary, settings, folder / "run.pt", progress)
    return model.state_dict(), history


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("defence", ADVERSARIES)
def test_one_loop_learns_with_every_adversary(tmp_path: Path, defence: str) -> None:
    settings = replace(SETTINGS, epochs=6)
    state, history = trained(tmp_path, settings, ADVERSARIES[defence], network(dropout=0))
    assert [row.epoch for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1].loss < history[0].loss
    assert 0 <= history[0].accuracy < history[-1].accuracy <= 1
    assert not same(state, network().state_dict())


def test_the_defences_train_different_classifiers(tmp_path: Path) -> None:
    states = [trained(tmp_path / name, adversary=chosen)[0] for name, chosen in ADVERSARIES.items()]
    assert not same(states[0], states[1]) and not same(states[1], states[2])


def test_the_loss_is_an_argument_and_knows_the_images_before_the_attack(tmp_path: Path) -> None:
    """What descends the loss of the untouched images learns as if nobody had attacked."""

    def untouched(model: nn.Module, images: Tensor, clean: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert not torch.equal(images, clean)
        return cross_entropy(model, clean, clean, labels)

    ignoring = replace(SETTINGS, loss=untouched)
    attacked, _ = trained(tmp_path / "attacked", ignoring, ADVERSARIES["at_pgd"])
    assert same(attacked, trained(tmp_path / "clean")[0])


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, history = trained(tmp_path / "a")
    torch.rand(5)  # the state of the global generator must not matter
    second, repeated = trained(tmp_path / "b")
    assert same(first, second) and history == repeated


@pytest.mark.parametrize("dropout", [0, 0.2])
def test_another_seed_gives_other_weights(tmp_path: Path, dropout: float) -> None:
    still = replace(SETTINGS, augment=Augment(pad=0, flip=False))
    first, other = (
        trained(tmp_path / str(seed), replace(still, seed=seed), model=network(dropout))[0] for seed in (3, 4)
    )
    assert not same(first, other)


def test_training_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    trained(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_each_image_is_seen_once_an_epoch_and_in_another_order_in_the_next(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def note(model: nn.Module, images: Tensor, labels: Tensor, *_: object) -> Tensor:
        seen.append(images.mean(dim=(1, 2, 3)))
        return images

    trained(tmp_path, replace(SETTINGS, augment=Augment(pad=0, flip=True)), note)
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    expected = torch.from_numpy(image_set().images).float().mean(dim=(1, 2, 3)) / 255
    torch.testing.assert_close(first.sort().values, expected.sort().values)
    torch.testing.assert_close(second.sort().values, expected.sort().values)
    assert not torch.allclose(first, second)


# A stop in the middle of an epoch


@pytest.mark.parametrize("defence", ADVERSARIES)
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_a_run_that_stopped_goes_on_to_the_same_weights(tmp_path: Path, defence: str, schedule: str) -> None:
    optimiser = OPTIMISER.model_copy(update={"schedule": schedule})
    settings = replace(SETTINGS, optimiser=optimiser, epochs=3, warmup_epochs=2)
    undisturbed, whole = trained(tmp_path / "whole", settings, ADVERSARIES[defence])

    def stop(epoch: int, done: int, *_: object) -> None:
        if (epoch, done) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, settings, ADVERSARIES[defence], progress=stop)
    epochs = set()
    resumed, history = trained(
        tmp_path, settings, ADVERSARIES[defence], progress=lambda epoch, *_: epochs.add(epoch)
    )
    assert epochs == {1, 2}, "the epochs before the checkpoint are not run again"
    assert same(undisturbed, resumed) and history == whole


def test_mixed_precision_learns_alike_keeps_float32_weights_and_goes_on_to_the_same_ones(
    tmp_path: Path,
) -> None:
    mixed = replace(SETTINGS, precision="bf16", epochs=3)

    def rough() -> PgdAdversary:
        return replace(ADVERSARIES["at_dual"], precision="bf16")

    whole, history = trained(tmp_path / "whole", mixed, rough())
    exact, expected = trained(tmp_path / "exact", replace(SETTINGS, epochs=3), ADVERSARIES["at_dual"])
    assert all(values.dtype == exact[name].dtype for name, values in whole.items())
    assert not same(whole, exact)
    assert [row.loss for row in history] == pytest.approx([row.loss for row in expected], rel=0.05)

    def stop(epoch: int, done: int, *_: object) -> None:
        if (epoch, done) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, mixed, rough(), progress=stop)
    resumed, repeated = trained(tmp_path, mixed, rough())
    assert same(whole, resumed) and repeated == history


def test_a_run_killed_by_sigkill_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import os, runpy, signal
        from pathlib import Path
        import torch

        torch.set_num_threads({torch.get_num_threads()})
        here = runpy.run_path({str(Path(__file__))!r})

        def progress(epoch, done, *_):
            if (epoch, done) == (1, 3):
                os.kill(os.getpid(), signal.SIGKILL)

        here["trained"](Path({str(tmp_path)!r}), adversary=here["ADVERSARIES"]["at_dual"], progress=progress)
        """
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert epochs_done(tmp_path / "run.pt") == 1
    resumed, history = trained(tmp_path, adversary=ADVERSARIES["at_dual"])
    undisturbed, whole = trained(tmp_path / "undisturbed", adversary=ADVERSARIES["at_dual"])
    assert same(undisturbed, resumed) and history == whole


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first, history = trained(tmp_path)
    calls: list[object] = []
    again, repeated = trained(tmp_path, progress=lambda *call: calls.append(call))
    assert not calls and same(first, again) and history == repeated


# The adversary


def test_the_adversary_meets_the_classifier_in_eval_mode_and_the_update_in_train_mode(tmp_path: Path) -> None:
    model, modes = network(), []
    model[6].register_forward_hook(lambda module, *_: modes.append(("update", module.training)))

    def look(model: nn.Module, images: Tensor, *_: object) -> Tensor:
        modes.append(("adversary", all(not module.training for module in model.modules())))
        return images

    trained(tmp_path, adversary=look, model=model)
    assert modes == [("adversary", True), ("update", True)] * 8
    assert not model.training, "the trained classifier is in eval mode"


def test_the_adversary_changes_no_statistics_and_no_gradients(tmp_path: Path) -> None:
    attack, calls = ADVERSARIES["at_dual"], []
    assert attack is not None

    def watched(model: nn.Module, *rest: object) -> Tensor:
        before, gradients = copy.deepcopy(model.state_dict()), [p.grad for p in model.parameters()]
        adversarial = attack(model, *rest)  # type: ignore[arg-type]
        assert same(before, model.state_dict())
        assert all(old is p.grad for old, p in zip(gradients, model.parameters(), strict=True))
        assert not adversarial.requires_grad
        calls.append(adversarial)
        return adversarial

    model = network()
    trained(tmp_path, adversary=watched, model=model)
    assert len(calls) == 8
    assert int(model[1].num_batches_tracked) == 8, "one update of the statistics a batch"


@pytest.mark.parametrize("warmup", [0, 0.5, 2, 3])
def test_the_budget_grows_from_nothing_to_its_full_size(tmp_path: Path, warmup: float) -> None:
    shares: list[float] = []

    def note(
        model: nn.Module, images: Tensor, labels: Tensor, masks: Tensor, seeds: object, share: float
    ) -> Tensor:
        shares.append(share)
        return images

    trained(tmp_path, replace(SETTINGS, epochs=4, warmup_epochs=warmup), note)
    expected = [1.0 if warmup == 0 else min(1.0, batch / 4 / warmup) for batch in range(16)]
    assert shares == pytest.approx(expected)
    assert shares[-1] == 1.0


def test_images_masks_and_seeds_that_reach_the_adversary(tmp_path: Path) -> None:
    seeds: list[int] = []

    def look(
        model: nn.Module, images: Tensor, labels: Tensor, masks: Tensor, given: list[int], share: float
    ) -> Tensor:
        assert images.dtype == torch.float32 and images.min() >= 0 and 0.4 < images.max() <= 1
        assert masks.dtype == torch.bool and masks.shape == (len(images), 1, 16, 16)
        assert labels.shape == (len(images),) and len(given) == len(images)
        seeds.extend(given)
        return images

    trained(tmp_path, adversary=look)
    assert len(set(seeds)) == 128, "no image starts twice from the same point"


def test_the_first_attack_does_not_wait_for_the_optimiser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make one, torch imports its compiler, which takes more than a second."""
    order: list[str] = []

    def optimiser(*args: object, **settings: object) -> torch.optim.Optimizer:
        order.append("optimiser")
        return sgd(*args, **settings)

    def attack(model: nn.Module, images: Tensor, *_: object) -> Tensor:
        order.append("attack")
        return images

    sgd = torch.optim.SGD
    monkeypatch.setattr(torch.optim, "SGD", optimiser)
    trained(tmp_path, adversary=attack)
    assert order[:2] == ["attack", "optimiser"] and order.count("optimiser") == 1


# Learning rate


@pytest.mark.parametrize("epochs", [1, 3])
def test_one_cycle_and_cosine_reach_their_ends_without_warnings(tmp_path: Path, epochs: int) -> None:
    def rates(schedule: str) -> tuple[list[float], float]:
        optimiser = OPTIMISER.model_copy(update={"schedule": schedule})
        folder = tmp_path / schedule
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _, history = trained(folder, replace(SETTINGS, optimiser=optimiser, epochs=epochs))
        state = read_checkpoint(folder / "run.pt")
        return [row.learning_rate for row in history], state["optimiser"]["param_groups"][0]["lr"]

    cosine, last = rates("cosine")
    assert cosine == pytest.approx([0.05 * (1 + math.cos(math.pi * e / epochs)) / 2 for e in range(epochs)])
    assert last == pytest.approx(0, abs=1e-8)
    one_cycle, last = rates("one_cycle")
    assert one_cycle[0] == pytest.approx(0.05 / 25) and last == pytest.approx(0.05 / 25 / 1e4)
    assert max(one_cycle) <= 0.05


# The last batch


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(16, [16]), (17, [17]), (18, [16, 2]), (33, [16, 17]), (40, [16, 16, 8]), (5, [5]), (2, [2])],
)
def test_a_single_image_left_over_joins_the_batch_before(
    tmp_path: Path, count: int, sizes: list[int]
) -> None:
    found: list[int] = []
    calls: list[tuple[int, int]] = []

    def note(model: nn.Module, images: Tensor, *_: object) -> Tensor:
        found.append(len(images))
        return images

    trained(
        tmp_path,
        replace(SETTINGS, epochs=1),
        note,
        data=image_set(count),
        progress=lambda epoch, done, batches, *_: calls.append((done, batches)),
    )
    assert found == sizes
    assert calls == [(done, len(sizes)) for done in range(1, len(sizes) + 1)]


def test_batches_of_one_image_are_refused(tmp_path: Path) -> None:
    single = replace(SETTINGS, optimiser=OPTIMISER.model_copy(update={"batch_size": 1}))
    with pytest.raises(UserError, match=r"found 64 images and optimiser.batch_size 1; .*at least 2"):
        trained(tmp_path, single)
    with pytest.raises(UserError, match=r"found 1 images"):
        trained(tmp_path, data=image_set(1))


# Mistakes


def test_masks_of_other_images_are_refused(tmp_path: Path) -> None:
    data = image_set()
    with pytest.raises(
        UserError, match=r"masks: found shape \(63, 1, 16, 16\), the images need \(64, 1, 16, 16\)"
    ):
        train(network(), data, masks(data)[1:], None, SETTINGS, tmp_path / "run.pt", quiet)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_at_once(tmp_path: Path, value: float) -> None:
    calls: list[object] = []

    def spoil(model: nn.Module, images: Tensor, *_: object) -> Tensor:
        return images * (value if len(calls) == 5 else 1)

    with pytest.raises(UserError) as error:
        trained(tmp_path, adversary=spoil, progress=lambda *call: calls.append(call))
    assert "the loss became nan in epoch 2, batch 2; a smaller optimiser.learning_rate" in str(error.value)
    assert "\n" not in str(error.value) and len(calls) == 5


def test_weights_that_are_not_finite_after_the_last_update_are_no_result(tmp_path: Path) -> None:
    model = network()
    model[7].weight.register_hook(lambda gradient: gradient * (math.nan if len(calls) == 7 else 1))
    calls: list[object] = []
    with pytest.raises(UserError, match=r"the weights 7.weight are no longer finite after epoch 2"):
        trained(tmp_path, model=model, progress=lambda *call: calls.append(call))
    assert epochs_done(tmp_path / "run.pt") == 1


def test_progress_hears_the_mean_over_the_images_so_far(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int, float, float]] = []
    _, history = trained(tmp_path, data=image_set(40), progress=lambda *call: calls.append(call))
    assert [call[:3] for call in calls] == [(e, d, 3) for e in (0, 1) for d in (1, 2, 3)]
    assert [(row.loss, row.accuracy) for row in history] == [call[3:] for call in (calls[2], calls[5])]
    assert calls[2][4] * 40 == pytest.approx(round(calls[2][4] * 40))
