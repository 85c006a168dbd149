"""The shown names of defences, norms, losses, classifiers and attacks."""

from __future__ import annotations

from collections.abc import Iterable

from dualperturb.core.budgets import NORMS

LABELS = {
    "clean": "Clean",
    "at_pgd": "AT-PGD",
    "at_dual": "AT-Dual",
    "smoothing": "Smoothing",
    "smoothing_dual": "Smoothing-Dual",
}
NORM_NAMES = {key: norm.name for key, norm in NORMS.items()} | {"L0": "L0"}
LOSS_NAMES = {"cross_entropy": "cross-entropy", "margin": "margin", "dlr": "DLR"}
ATTACKS = {
    "pgd": "PGD",
    "dual": "dual",
    "sum": "dual, paper's sum",
    "constrained": "dual, constrained",
    "guided": "dual, constrained by several models",
    "any": "all of these",
    "jsma": "JSMA",
    "cw": "C&W",
}


def label(defence: str) -> str:
    """The defence's name as the paper prints it."""
    return LABELS.get(defence, defence)


def classifier_label(defence: str, trained_norm: str) -> str:
    """The defence's name, with the norm that it was trained with, if any: "AT-PGD (L2)"."""
    norm = NORM_NAMES.get(trained_norm)
    return f"{label(defence)} ({norm})" if norm else label(defence)


def classifier_labels(names: Iterable[str]) -> dict[str, str]:
    """Shown names of classifiers such as at_pgd_L2, without the norm where all were trained with the same."""
    parts = {name: _parts(name) for name in names}
    trained = {norm for _, norm in parts.values() if norm != "none"}
    if len(trained) < 2:
        return {name: label(defence) for name, (defence, _) in parts.items()}
    return {name: classifier_label(*one) for name, one in parts.items()}


def _parts(name: str) -> tuple[str, str]:
    """at_pgd_L2 -> at_pgd, L2; a name without a norm -> itself, none."""
    defence, _, norm = name.rpartition("_")
    return (defence, norm) if defence and norm in NORM_NAMES else (name, "none")
