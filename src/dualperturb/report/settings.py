"""The setting of a run as tables, and the stand-ins for parts of the paper that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dualperturb.report.data import MaskSummary
from dualperturb.report.formatting import cell


def setting_tables(setting: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """One table per section of the parameters, nested keys joined by dots; those without a section first."""
    tables: dict[str, dict[str, str]] = {"for the whole run": {}}
    for key, value in setting.items():
        if isinstance(value, Mapping):
            tables[str(key)] = _flat(value)
        else:
            tables["for the whole run"][str(key)] = cell(value)
    return {name: table for name, table in tables.items() if table}


def mask_text(masks: MaskSummary) -> str:
    none = f", which had none for {masks.lacking} of {masks.n} images (these got the fallback)"
    return (
        f"Foregrounds from the {masks.source}{none if masks.lacking else ''}: "
        f"{100 * masks.foreground_fraction:.1f} % of the image in the "
        f"mean, {masks.empty} empty and {masks.full} full among {masks.n} images. Mean foreground score of "
        f"the clean images: {masks.foreground_score:.3f} (saliency model: {masks.saliency})."
    )


def stand_ins(dataset: str, masks: MaskSummary) -> list[str]:
    """The stand-ins for the paper's data and saliency model that were used, in plain sentences."""
    notes = []
    if dataset == "shapes6":
        notes.append(
            "shapes6 is synthetic: drawn by a program from a seed, no photographs. Its contrast, and the "
            "warm-up of AT-Dual, were chosen while looking at these very accuracies, so that the paper's "
            "picture appears: it shows the method, and proves nothing about the paper's claims."
        )
    if masks.saliency == "builtin":
        notes.append(
            "The built-in saliency model needs no weights; it stands in for DeepGaze and is not DeepGaze."
        )
    return notes


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = cell(value)
    return flat
