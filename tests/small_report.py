"""A small report of two data sets, shared by the tests of the page, in text and in a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dualperturb.figures import PANELS, draw, save
from dualperturb.report import DatasetReport, MaskSummary, ReportData, paper_figures
from tests.small_tables import (
    BUDGETS,
    CERTIFICATE,
    CLASSES,
    FIGURES,
    NORMS,
    Look,
    small_claims,
    small_examples,
    small_gallery,
    small_gradients,
    small_health,
    small_results,
)

HOSTILE = "</script><script>x</script> & co"
MASKS = {
    "shapes6": MaskSummary("data set", "builtin", 0.351, 0.552, 3, 0, 1000),
    "folder": MaskSummary("saliency model", "deepgaze_iie", 0.49, 0.91, 0, 1, 500),
}


def small_report(
    folder: Path,
    datasets: tuple[str, ...] = ("shapes6", "folder"),
    norms: tuple[str, ...] = NORMS,
    panels: tuple[str, ...] = PANELS,
) -> ReportData:
    """The figures' files lie in `folder`; one class is named HOSTILE; folder's images are 70 a point."""
    return ReportData(
        title="A <small> run",
        setting={
            "norms": list(norms),
            "weights": None,
            "train": {"shapes6": {"epochs": 10, "grid": [0, 2.5]}},
        },
        versions={"torch": "2.15.0"},
        sections=_sections(folder, datasets, norms, panels),
        times=pd.DataFrame(
            {"dataset": datasets, "stage": "robustness", "seconds": [12.34, 100.0][: len(datasets)]}
        ),
    )


def _sections(
    folder: Path, datasets: tuple[str, ...], norms: tuple[str, ...], panels: tuple[str, ...]
) -> tuple[DatasetReport, ...]:
    results, health = small_results(norms), small_health(norms)
    examples, gallery = small_examples(), small_gallery(norms)
    names = np.array([*CLASSES[:2], HOSTILE])
    for arrays in (*examples.values(), gallery):
        arrays["class_names"] = names
    drawn = draw(results, examples, small_gradients(norms), FIGURES, Look(panels=panels))
    for name, figure in drawn.items():
        for path in save(figure, folder / name):
            for dataset in datasets:
                (folder / f"{dataset}_{path.name}").write_bytes(path.read_bytes())
    sections = []
    for dataset, n in zip(datasets, (50, 70), strict=False):
        own = results.assign(dataset=dataset, n=results["n"].where(results["n"] != 50, n))
        own_masks = MASKS[dataset].source == "saliency model"
        figures = paper_figures(own, examples, dataset, folder, FIGURES, panels, CERTIFICATE, own_masks)
        sections.append(
            DatasetReport(
                dataset,
                own,
                small_claims(norms).assign(dataset=dataset),
                1,
                {norm: BUDGETS[norm] for norm in norms},
                MASKS[dataset],
                CERTIFICATE,
                tuple(figures),
                health.assign(dataset=dataset),
                gallery,
            )
        )
    return tuple(sections)
