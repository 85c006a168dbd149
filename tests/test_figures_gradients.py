"""Fig. 6: which picture stands where, what is written under it, stable bytes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualperturb.figures import save
from dualperturb.figures.gradients import gradient_pictures
from tests.small_tables import Look


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Two images, the first with a foreground; three classifiers, one of them without a gradient."""
    random = np.random.default_rng(0)
    foreground = np.zeros((2, 1, 8, 8), dtype=bool)
    foreground[0, :, :4] = True
    return {
        "indices": np.array([4, 9]),
        "labels": np.array([1, 0]),
        "class_names": np.array(["cat", "$dog$"]),
        "original": random.random((2, 3, 8, 8), dtype=np.float32),
        "foreground": foreground,
        "classifiers": np.array(["clean", "at_pgd/L2", "smoothing"]),
        "gradients": random.random((3, 2, 3, 8, 8), dtype=np.float32),
        "share": np.array([[0.611, 0.0], [0.9, 0.0], [0.0, 0.0]]),
        "enrichment": np.array([[1.222, 1.0], [1.8, 1.0], [0.0, 0.0]]),
        "zero_gradient": np.array([[False, False], [False, False], [True, True]]),
    }


def test_originals_then_each_classifiers_gradient(arrays: dict[str, Any]) -> None:
    figure = gradient_pictures(arrays, {"at_pgd/L2": "AT-PGD, L2"}, Look())
    assert [axes.get_title() for axes in figure.axes[:4]] == ["original", "Clean", "AT-PGD, L2", "Smoothing"]
    assert len(figure.axes) == 2 * 4
    assert np.array_equal(figure.axes[4].images[0].get_array(), arrays["original"][1].transpose(1, 2, 0))
    for c in range(3):
        shown = figure.axes[5 + c].images[0]
        assert np.array_equal(shown.get_array(), arrays["gradients"][c, 1].transpose(1, 2, 0))
        assert shown.get_interpolation() == "nearest"


def test_long_names_do_not_run_into_each_other(arrays: dict[str, Any]) -> None:
    names = ["clean", *(f"a_defence_named_{n} (L-infinity)" for n in range(12))]
    arrays |= {"classifiers": np.array(names)}
    arrays |= {key: np.resize(arrays[key], (13, *arrays[key].shape[1:])) for key in ("gradients", "share")}
    arrays |= {key: np.zeros((13, 2)) for key in ("enrichment", "zero_gradient")}
    figure = gradient_pictures(arrays, {}, Look())
    figure.draw_without_rendering()
    titles = [axes.title.get_window_extent() for axes in figure.axes[:14]]
    assert not any(one.overlaps(other) for one, other in pairwise(titles))
    assert all(box.y1 <= figure.bbox.y1 + 0.5 for box in titles)


def test_the_share_stands_under_each_gradient(arrays: dict[str, Any]) -> None:
    texts = [axes.get_xlabel() for axes in gradient_pictures(arrays, {}, Look()).axes]
    assert texts[:4] == [
        "label: $dog$\n50% foreground",
        "61% inside\n1.2× its area",
        "90% inside\n1.8× its area",
        "no gradient\n",
    ]
    assert texts[4] == "label: cat\n0% foreground"


def test_the_foreground_is_outlined_where_it_has_an_edge(arrays: dict[str, Any]) -> None:
    axes = gradient_pictures(arrays, {}, Look()).axes
    assert (len(axes[0].collections), len(axes[4].collections)) == (2, 0)


def test_saved_bytes_are_the_same_for_freshly_built_figures(tmp_path: Path, arrays: dict[str, Any]) -> None:
    one, two = (save(gradient_pictures(arrays, {}, Look()), tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
