"""Outcomes image by image, from which the claims are judged: of attacks and gradients, and as judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dualperturb.evaluation.claims.unsuspicious import Judged
from dualperturb.evaluation.tables import IMAGE_COLUMNS
from dualperturb.files import read_csv
from dualperturb.params import Params
from stages.common import MEASURES, SWEEP_TABLES
from stages.results import parts, whole


def read_images(settings: Params) -> Iterator[pd.DataFrame]:
    """Each table of images, with dataset, defence, attack and norm. Raises UserError as `read_parts` does."""
    for measure, table in parts(settings):
        if measure not in IMAGE_COLUMNS:
            continue
        points = read_csv(table, ("axis", "n"))
        if count := int(points.loc[points["axis"] != "strong", "n"].sum()):  # 0 where C&W's were not made
            path = table.with_suffix(".images.csv")
            images = whole(path, read_csv(path, IMAGE_COLUMNS[measure]), count)
            yield images.assign(**_panel(table)) if measure == "panels" else images


def _panel(table: Path) -> dict[str, str]:
    """What a panel's place says."""
    dataset, axis, defence, name = table.relative_to(SWEEP_TABLES).parts
    attack = "pgd" if axis == "eps" else "dual"
    return {"dataset": dataset, "defence": defence, "attack": attack, "norm": Path(name).stem}


def read_judged(dataset: str, training: int, settings: Params) -> Iterator[Judged]:
    """Outcomes of the attacks that saliency models judge, on one training's classifiers, for each norm.

    Raises UserError as `read_parts` does.
    """
    own, asked = settings.of(dataset).masks.model.name, settings.of(dataset).evaluate.unsuspicious
    unseen = [model.name for model in asked.judges]
    scores = (f"{kind}_{name}" for name in (own, *unseen) for kind in ("score", "clean"))
    columns = ("defence", "training", "attack", "run", "index", "fooled", *scores)
    # Every attack has one more run than it was made: the images as they are.
    runs = 4 + 2 * bool(asked.salience_weight) + 2 * bool(asked.guides)
    runs += len(asked.bounds) + 1 if asked.bounds else 0
    expected = len(settings.seeds.training) * len(settings.swept) * runs * asked.n
    for norm in settings.norms:
        path = MEASURES / dataset / "unsuspicious" / f"{norm}.images.csv"
        images = whole(path, read_csv(path, columns), expected)
        first = asked.bounds[0] if asked.bounds else None
        yield Judged(norm, images[images["training"] == training], own, unseen, first)
