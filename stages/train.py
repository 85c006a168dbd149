"""Train one classifier: prepared images and masks -> models/DATASET/DEFENCE, history under reports/training.

Every epoch leaves a checkpoint named after what the result depends on: a run that was killed goes on from it.
The code is no part of that name: remove the folder of the checkpoints after changing how training works.
"""

from __future__ import annotations

from pathlib import Path

from dualperturb.params import Params
from stages.common import CHECKPOINTS, MASKS, MODELS, PREPARED, TRAINING, device, params, run, saliency, timed


def main(defence: str, dataset: str) -> None:
    import pandas as pd

    from dualperturb.classifiers import ClassifierSpec, build_classifier, save_classifier
    from dualperturb.files import write_csv
    from dualperturb.images import load_foreground, load_split
    from dualperturb.progress import TrainingProgress
    from dualperturb.recipes import training_adversary, training_settings
    from dualperturb.training import train

    chosen = params()
    settings = training_settings(chosen, dataset, defence)
    with timed(dataset, f"train_{defence}"):
        data = load_split(PREPARED / dataset, "train")
        foreground = load_foreground(MASKS / dataset, "train")
        classifier = chosen.train[dataset].classifier
        spec = ClassifierSpec(classifier.architecture, data.class_names)
        model = build_classifier(spec, classifier.weights, chosen.seed).to(device())
        adversary = training_adversary(chosen, dataset, defence, data.side, saliency)
        checkpoint = checkpoint_path(chosen, defence, dataset, data.side)
        report_checkpoint(checkpoint, settings.epochs)
        with TrainingProgress(f"{dataset} {defence}", settings.epochs) as progress:
            history = train(model, data, foreground, adversary, settings, checkpoint, progress)
        save_classifier(MODELS / dataset / defence, model, spec)
        write_csv(TRAINING / dataset / f"{defence}.csv", pd.DataFrame(history))
        checkpoint.unlink()


def checkpoint_path(chosen: Params, defence: str, dataset: str, side: int) -> Path:
    """checkpoints/DATASET/DEFENCE-FINGERPRINT.pt: other settings, images or masks never meet this file."""
    from dualperturb.images import load_meta, sha256
    from dualperturb.recipes import fingerprint

    meta = load_meta(PREPARED / dataset)
    data = {
        "class_names": meta["class_names"],
        "train": meta["splits"]["train"],
        "masks": sha256(MASKS / dataset / "train.foreground.npy"),
    }
    return CHECKPOINTS / dataset / f"{defence}-{fingerprint(chosen, dataset, defence, side, data)}.pt"


def report_checkpoint(path: Path, epochs: int) -> None:
    """Say on one line from which epoch training goes on, if an earlier run left a checkpoint."""
    from dualperturb.checkpoint import epochs_done

    if done := epochs_done(path):
        print(
            f"{path}: {done} of {epochs} epochs done, going on from epoch {min(done + 1, epochs)}", flush=True
        )


if __name__ == "__main__":
    run(main)
