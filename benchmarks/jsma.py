"""JSMA: our time a step an image against ART's, on the same ResNet-18, as a table in Markdown.

    python benchmarks/jsma.py [--side 64 --side 224] [--images 4] [--steps 10]

One thread, one process, both attacks in turn, the fastest of some runs of each. A step changes two
pixels (ours) or two features (ART); the time of a run is divided by its steps, its first look or last look
included. No image reaches its target, so that all go all the way. Needs adversarial-robustness-toolbox.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dualperturb.attacks.jsma import jsma
from dualperturb.core.classifiers.networks import build_network

CLASSES = 10
REPEATS = 3  # of a timed run; the fastest counts
TARGET = CLASSES - 1
PIXELS = 2  # a step; ART has no other choice


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--side", type=int, action="append", help="default: 64 and 224")
    arguments.add_argument("--images", type=int, default=4)
    arguments.add_argument("--steps", type=int, default=10)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    art = _art()
    print("| side | images a batch | ours, ms | ART, ms | ART / ours | a forward and a backward pass, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for side in given.side or [64, 224]:
        for count in sorted({1, given.images}):
            print(row(art, side, count, given.steps), flush=True)


def _art() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from art.attacks.evasion import SaliencyMapMethod
            from art.estimators.classification import PyTorchClassifier
        except ImportError as error:
            sys.exit(f"error: adversarial-robustness-toolbox: {error}; install it to compare")
    return SaliencyMapMethod, PyTorchClassifier


class Stubborn(nn.Module):
    """A ResNet-18 with random weights that never gives the last class. calls: how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = build_network("resnet18", CLASSES)
        self.low = torch.zeros(CLASSES).index_fill(0, torch.tensor([TARGET]), -20.0)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.network(images) + self.low
        return logits


def row(art: Any, side: int, count: int, steps: int) -> str:
    """One line: milliseconds a step an image."""
    model = Stubborn().eval().requires_grad_(False)
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    runs = [_ours(model, images, steps), _theirs(art, model, images, steps), _floor(model, images)]
    taken = [[_milliseconds(run) / count for run in runs] for _ in range(REPEATS + 1)][1:]
    ours, theirs, floor = (min(times) for times in zip(*taken, strict=True))
    return f"| {side} | {count} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.2f} | {floor:.1f} |"


def _ours(model: Stubborn, images: Tensor, steps: int) -> Callable[[], int]:
    labels = torch.zeros(len(images), dtype=torch.int64)
    share = PIXELS * steps / images[0, 0].numel()

    def run() -> int:
        before = model.calls
        targets = torch.full_like(labels, TARGET)
        jsma(
            model,
            images,
            labels,
            max_share=share,
            pixels_per_step=PIXELS,
            change="increase",
            targets=targets,
        )
        return model.calls - before - 1  # the last look changes nothing

    return run


def _theirs(art: Any, model: Stubborn, images: Tensor, steps: int) -> Callable[[], int]:
    attack, classifier = art
    wrapped = classifier(
        nn.Sequential(model, nn.Softmax(dim=1)),
        nn.CrossEntropyLoss(),
        tuple(images.shape[1:]),
        nb_classes=CLASSES,
        clip_values=(0, 1),
        device_type="cpu",
    )
    gamma = (PIXELS * steps - 1) / images[0].numel()
    method = attack(wrapped, theta=1.0, gamma=gamma, batch_size=len(images), verbose=False)
    pixels, targets = images.numpy(), torch.full((len(images),), TARGET).numpy()

    def run() -> int:
        before = model.calls
        method.generate(pixels.copy(), y=targets)
        return (model.calls - before - 1) // 2  # a gradient and a prediction each, after a first prediction

    return run


def _floor(model: Stubborn, images: Tensor) -> Callable[[], int]:
    def run() -> int:
        pixels = images.clone().requires_grad_(True)
        torch.autograd.grad(model(pixels)[:, TARGET].sum(), pixels)
        return 1

    return run


def _milliseconds(run: Callable[[], int]) -> float:
    """For one of the steps that `run` says it made."""
    begun = time.perf_counter()
    steps = run()
    return 1000 * (time.perf_counter() - begun) / steps


if __name__ == "__main__":
    main()
