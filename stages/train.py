"""Trainings of a classifier, one by each seed: prepared images and masks -> models/DATASET/DEFENCE.

Their histories go to reports/training. Every epoch leaves a checkpoint, from which a run that was killed goes
on. It is named after what the result depends on. The code has no part in that name, so remove the folder of
the checkpoints after changing how training works; neither has the number of ranks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dualperturb.errors import UserError
from dualperturb.params import Params
from stages.common import (
    CHECKPOINTS,
    MASKS,
    PREPARED,
    classifier_folder,
    classifier_name,
    device,
    history_path,
    params,
    run,
    saliency,
    timed,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from dualperturb.core.images import ImageSet


def main(defence: str, dataset: str, norm: Annotated[str | None, typer.Argument()] = None) -> None:
    from dualperturb import launch
    from dualperturb.core.images import load_foreground, load_split

    chosen = params(dataset, defence)
    with timed(dataset, f"train_{defence}", norm):
        images = load_split(PREPARED / dataset, "train"), load_foreground(MASKS / dataset, "train")
        seeds = chosen.seeds.training
        checkpoints = [train_by(seed, chosen, defence, dataset, norm, *images) for seed in seeds]
        if launch.rank() == 0:
            # Only now: DVC removes what a stage that was killed had written.
            for checkpoint in checkpoints:
                checkpoint.unlink()


def train_by(
    seed: int,
    chosen: Params,
    defence: str,
    dataset: str,
    norm: str | None,
    data: ImageSet,
    foreground: np.ndarray,
) -> Path:
    """Train and save one classifier; returns the checkpoint of its last epoch."""
    from rich.console import Console

    from dualperturb import launch
    from dualperturb.core.classifiers.storage import ClassifierSpec, build_classifier, save_classifier
    from dualperturb.core.devices.memory import enough_memory
    from dualperturb.files import write_csv
    from dualperturb.progress import TrainingProgress
    from dualperturb.training.loop import train
    from dualperturb.training.settings import training_adversary, training_masks, training_settings

    settings = training_settings(chosen, dataset, defence, seed)
    classifier = chosen.of(dataset).train.classifier
    spec = ClassifierSpec(classifier.architecture, data.class_names)
    model = build_classifier(spec, classifier.weights, settings.seed).to(device())
    check_takes(model, data.side, f"{dataset}.train.classifier.architecture: {classifier.architecture}")
    masks = training_masks(chosen, dataset, defence, foreground, seed)
    adversary = training_adversary(chosen, dataset, defence, norm, data.side, saliency)
    checkpoint = checkpoint_path(chosen, defence, dataset, norm, seed, data.side)
    console = None if launch.rank() == 0 else Console(quiet=True)
    if console is None:
        report_checkpoint(checkpoint, settings.epochs)
    name = classifier_name(defence, norm) + (f", seed {seed}" if len(chosen.seeds.training) > 1 else "")
    progress = TrainingProgress(f"{dataset} {name}", settings.epochs, console)
    with progress, enough_memory(too_large(dataset, settings.optimiser.batch_size)):
        history = train(model, data, masks, adversary, settings, checkpoint, progress)
    if console is None:
        # Imported only here, because the training needs no table before its end.
        import pandas as pd

        save_classifier(classifier_folder(dataset, defence, norm, seed), model, spec)
        write_csv(history_path(dataset, defence, norm, seed), pd.DataFrame(history))
    return checkpoint


def check_takes(model: nn.Module, side: int, who: str) -> None:
    """Raise UserError where the classifier takes no images of this side, as a vision transformer may."""
    import torch

    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, side, side, device=next(model.parameters()).device))
    except (AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{who} does not take images of {side}x{side} pixels ({reason})") from None


def too_large(dataset: str, batch_size: int) -> str:
    """The message where an update does not fit. It is not halved: BatchNorm would give another classifier."""
    return (
        f"{dataset}.train.optimiser.batch_size: found {batch_size}, out of memory with so many images; "
        "accepted: fewer, with which the training begins anew, or more runtime.devices to share them"
    )


def checkpoint_path(
    chosen: Params, defence: str, dataset: str, norm: str | None, training: int, side: int
) -> Path:
    """checkpoints/DATASET/CLASSIFIER-FINGERPRINT.pt: other settings, images or masks never meet this file."""
    from dualperturb.core.images import load_meta
    from dualperturb.files import sha256
    from dualperturb.training.settings import fingerprint

    meta = load_meta(PREPARED / dataset)
    data = {
        "class_names": meta["class_names"],
        "train": meta["splits"]["train"],
        "masks": sha256(MASKS / dataset / "train.foreground.npy"),
    }
    print_of = fingerprint(chosen, dataset, defence, norm, training, side, data)
    return CHECKPOINTS / dataset / f"{classifier_name(defence, norm)}-{print_of}.pt"


def report_checkpoint(path: Path, epochs: int) -> None:
    """Say on one line from which epoch training goes on, if an earlier run left a checkpoint."""
    from dualperturb.training.checkpoint import epochs_done

    if done := epochs_done(path):
        print(
            f"{path}: {done} of {epochs} epochs done, going on from epoch {min(done + 1, epochs)}", flush=True
        )


def command() -> None:
    run(main, ranked=True)


if __name__ == "__main__":
    command()
