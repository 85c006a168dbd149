"""PGD of other libraries, the floor's competitors; one that is not installed, or lacks a norm, is left out.

All get the same classifier, radius, step size and number of steps, and start at random.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from torch import Tensor, nn

from benchmarks.common import CLASSES

Attack = Callable[[], object]


class Task(NamedTuple):
    """norm: "L2" or "Linf"; step_size: a share of the radius."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    norm: str
    radius: float
    steps: int
    step_size: float


def torchattacks(task: Task) -> Attack:
    attack = getattr(import_module("torchattacks"), {"L2": "PGDL2", "Linf": "PGD"}[task.norm])
    alpha = task.step_size * task.radius
    made = attack(task.model, eps=task.radius, alpha=alpha, steps=task.steps, random_start=True)
    return lambda: made(task.images, task.labels)


def foolbox(task: Task) -> Attack:
    library = import_module("foolbox")
    attack = getattr(library.attacks, f"{task.norm}ProjectedGradientDescentAttack")
    made = attack(rel_stepsize=task.step_size, steps=task.steps)
    wrapped = library.PyTorchModel(task.model, bounds=(0, 1), device=task.images.device)
    return lambda: made(wrapped, task.images, task.labels, epsilons=task.radius)


def art(task: Task) -> Attack:
    wrapped = import_module("art.estimators.classification").PyTorchClassifier(
        task.model,
        nn.CrossEntropyLoss(),
        tuple(task.images.shape[1:]),
        CLASSES,
        clip_values=(0, 1),
        device_type="cpu" if task.images.device.type == "cpu" else "gpu",
    )
    made = import_module("art.attacks.evasion").ProjectedGradientDescentPyTorch(
        wrapped,
        norm={"L2": 2, "Linf": "inf"}[task.norm],
        eps=task.radius,
        eps_step=task.step_size * task.radius,
        max_iter=task.steps,
        num_random_init=1,
        batch_size=len(task.images),
        verbose=False,
    )
    pixels, classes = task.images.cpu().numpy(), task.labels.cpu().numpy()
    return lambda: made.generate(pixels, classes)


def secml_torch(task: Task) -> Attack:
    """Its own implementation, not one of those that it wraps; it attacks what a loader gives."""
    made = import_module("secmlt.adv.evasion.pgd").PGD(
        perturbation_model={"L2": "l2", "Linf": "linf"}[task.norm],
        epsilon=task.radius,
        num_steps=task.steps,
        step_size=task.step_size * task.radius,
        random_start=True,
        backend="native",
    )
    return lambda: list(made(task.model, [(task.images, task.labels)], stream=True))


def adv_lib(task: Task) -> Attack | None:
    if task.norm != "Linf":
        return None
    import_module(
        "secmlt.adv.evasion"
    )  # stands in for visdom, which adv-lib imports and the attack never uses
    run = import_module("adv_lib.attacks").pgd_linf
    alpha = task.step_size * task.radius
    return lambda: run(
        task.model, task.images, task.labels, task.radius, steps=task.steps, absolute_step_size=alpha
    )


PEERS: dict[str, Callable[[Task], Attack | None]] = {
    "torchattacks": torchattacks,
    "foolbox": foolbox,
    "ART": art,
    "secml-torch": secml_torch,
    "adv-lib": adv_lib,
}


def peers(task: Task) -> dict[str, Attack]:
    """Those that are there and run on this device, as one image shows; of others one line tells."""
    found = {}
    one = task._replace(images=task.images[:1], labels=task.labels[:1], steps=1)
    for name, make in PEERS.items():
        with quiet(), contextlib.suppress(ImportError):
            run, trial = make(task), make(one)
            if run is None or trial is None:
                continue
            try:
                trial()
            except RuntimeError as error:
                print(f"{name} is left out: {' '.join(str(error).split())[:160]}", flush=True)
                continue
            found[name] = run
    return found


def optional(name: str) -> Any:
    """The module, or None where it is not installed."""
    with quiet(), contextlib.suppress(ImportError):
        return import_module(name)
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    logging.getLogger("art").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
