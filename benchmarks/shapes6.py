"""The pipeline's own classifiers, and stand-ins for runs that only show that a script works."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.common import batch, classifier
from dualperturb.core.budgets import applied_radius
from dualperturb.core.classifiers.storage import load_classifier
from dualperturb.core.images import ImageSet, load_foreground, load_split
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.saliency.builtin import BuiltinSaliency

CLASSIFIERS = ("clean", "at_pgd/L2", "at_pgd/Linf", "at_dual/L2", "at_dual/Linf")
# As in params.yaml, which takes the whole package's dependencies to read.
SETTINGS = AttackSettings(steps=20, step_size=0.25, restarts=1, batch_size=100, seed=0)
EPS_F = {"L2": 2.0, "Linf": 4.0}
EPS_B = 20.0
GRID = {  # axis -> norm -> budgets
    "eps_b": {"L2": (0, 5, 10, 15, 20), "Linf": (0, 10, 20, 30, 40)},
    "eps_f": {"L2": (0, 1, 2, 3, 4), "Linf": (0, 2, 4, 6, 8)},
    "eps": {"L2": (0, 1, 2, 3, 4), "Linf": (0, 2, 4, 6, 8)},
}


def add_workspace(parser: argparse.ArgumentParser, images: int) -> argparse.ArgumentParser:
    parser.add_argument("--workspace", type=Path, default=Path("."), help="where the pipeline ran")
    parser.add_argument("--dataset", default="shapes6", help="whose classifiers (default: shapes6)")
    parser.add_argument("--images", type=int, default=images, help=f"test images (default: {images})")
    return parser


def present(workspace: Path) -> bool:
    """Has the pipeline run there?"""
    return all((_folder(workspace, name) / "classifier.json").exists() for name in CLASSIFIERS)


def subject(options: argparse.Namespace, name: str) -> Subject:
    """A classifier of the pipeline on test images drawn as the pipeline draws them. Raises UserError."""
    if options.tiny:
        return stand_in(options)
    data = load_split(options.workspace / "data/prepared" / options.dataset, "test")
    return Subject(
        load_classifier(_folder(options.workspace, name, options.dataset)).to(options.device),
        data,
        load_foreground(options.workspace / "data/masks" / options.dataset, "test"),
        data.choose(options.images, SETTINGS.seed),
        BuiltinSaliency(),
        options.device,
    )


def _folder(workspace: Path, name: str, dataset: str = "shapes6") -> Path:
    return workspace / "models" / dataset / name / str(SETTINGS.seed)


def stand_in(options: argparse.Namespace) -> Subject:
    images, labels, foreground = batch(4, 16, options.device)
    data = ImageSet((255 * images.cpu()).byte().numpy(), labels.cpu().numpy(), tuple("abcdefghij"))
    model = classifier("small_resnet", options.device)
    return Subject(model, data, foreground.cpu().numpy(), np.arange(4), BuiltinSaliency(), options.device)


def threat(norm: str, dual: bool, side: int, eps_f: float | None = None, eps_b: float = EPS_B) -> ThreatModel:
    """Budgets at the paper's scale -> the radii applied."""
    inside = applied_radius(norm, EPS_F[norm] if eps_f is None else eps_f, side, "auto")
    return ThreatModel(norm, inside, applied_radius(norm, eps_b, side, "auto") if dual else None)
