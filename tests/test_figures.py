"""Figures: what they show of a small table, their refusals, and the same bytes for the same table."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from dualperturb.errors import UserError
from dualperturb.figures import accuracy_panels, draw, salience_panels, save
from dualperturb.figures.dual_examples import dual_pictures
from dualperturb.figures.names import LABELS
from dualperturb.figures.noise_examples import noise_pictures
from dualperturb.figures.style import line_cues
from tests.small_tables import ACCURACY, Look, small_examples, small_gradients, small_results


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


@pytest.fixture
def examples() -> dict[str, np.ndarray]:
    return small_examples()


def test_accuracy_panels_draw_each_defence_of_each_sweep(results: pd.DataFrame) -> None:
    figure = accuracy_panels(results, "L2", Look())
    foreground, background, whole = figure.axes
    for axes, values in ((foreground, [0, 2, 4]), (background, [0, 10, 20]), (whole, [0, 1, 3])):
        assert [line.get_label() for line in axes.get_lines()] == ["Clean", "AT-PGD", "AT-Dual"]
        for line, accuracy in zip(axes.get_lines(), ACCURACY.values(), strict=True):
            assert list(line.get_xdata()) == values
            assert np.allclose(line.get_ydata(), 100 * accuracy)
        assert axes.get_ylim() == (0, 100)
        assert "$L_2$" in axes.get_xlabel() and "224" in axes.get_xlabel()
    assert "20" in foreground.get_title() and "2" in background.get_title()
    assert foreground.get_ylabel() == "adversarial accuracy (%)"
    assert len(figure.legends) == 1


def test_accuracy_bands_are_the_intervals(results: pd.DataFrame) -> None:
    band = accuracy_panels(results, "L2", Look()).axes[0].collections[0].get_paths()[0].vertices
    assert np.isclose(band[:, 1].min(), 5) and np.isclose(band[:, 1].max(), 15)


def test_each_defence_has_a_colour_a_marker_and_dashes_of_its_own(results: pd.DataFrame) -> None:
    lines = accuracy_panels(results, "L2", Look()).axes[0].get_lines()
    assert [to_rgba(line.get_color()) for line in lines] == [
        to_rgba(Look().palette[defence]) for defence in ACCURACY
    ]
    assert len({line.get_marker() for line in lines}) == 3


def test_every_defence_is_drawn_unlike_the_others_and_one_without_a_name_too() -> None:
    look = Look(palette=dict.fromkeys((*LABELS, "unnamed"), "#E69F00"))
    cues = [line_cues(defence, look) for defence in look.palette]
    assert len({(one["marker"], one["linestyle"]) for one in cues}) == len(LABELS) + 1


def test_linf_budgets_are_labelled_in_255ths(results: pd.DataFrame) -> None:
    figure = accuracy_panels(results, "Linf", Look())
    assert all("1/255" in axes.get_xlabel() for axes in figure.axes[:3])


def test_only_classifiers_trained_alike_are_drawn(results: pd.DataFrame) -> None:
    results.loc[results["trained_norm"] == "Linf", "accuracy"] = 0.99
    for axes in accuracy_panels(results, "L2", Look()).axes:
        assert max(line.get_ydata().max() for line in axes.get_lines()) < 99


def test_jsma_stands_beside_the_sweeps_of_the_last_norm(results: pd.DataFrame) -> None:
    assert len(accuracy_panels(results, "L2", Look()).axes) == 3
    jsma = accuracy_panels(results, "Linf", Look()).axes[3]
    assert "JSMA" in jsma.get_title() and "pixels changed (%)" in jsma.get_xlabel()
    assert [line.get_label() for line in jsma.get_lines()] == ["Clean", "AT-PGD", "AT-Dual"]
    assert list(jsma.get_lines()[0].get_xdata()) == [0, 5, 10]
    one_norm = small_results(("L2",))
    assert len(accuracy_panels(one_norm, "L2", Look()).axes) == 4


def test_salience_panels_stand_at_equal_distances_with_the_weights_as_labels(results: pd.DataFrame) -> None:
    results.loc[results["loss"] == "dlr", "foreground_score"] = 0.9
    above, scale_free, below, _ = salience_panels(results, Look()).axes
    assert [text.get_text() for text in below.get_xticklabels()] == ["0", "0.1", "10"]
    for line in (*above.get_lines()[:3], *below.get_lines()):
        assert list(line.get_xdata()) == [0, 1, 2]
    assert np.allclose(above.get_lines()[0].get_ydata(), 0.6)
    assert np.allclose(scale_free.get_lines()[0].get_ydata(), 0.9)
    assert np.allclose(below.get_lines()[2].get_ydata(), 70)
    assert above.get_ylim()[1] - above.get_ylim()[0] >= 0.1 - 1e-9


def test_the_clean_images_score_is_a_thin_line(results: pd.DataFrame) -> None:
    clean = (results["attack"] == "pgd") & (results["axis"] == "eps") & (results["value"] == 0)
    results.loc[clean, "foreground_score"] = 0.8
    above = salience_panels(results, Look()).axes[0]
    line = above.get_lines()[3]
    assert line.get_label() == "clean images" and set(line.get_ydata()) == {0.8}
    assert above.get_ylim()[1] > 0.8


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("log_axes", [(), ("eps", "eps_b", "salience_weight")])
@pytest.mark.parametrize(
    ("axis", "panel", "name", "place"),
    [
        ("eps", "accuracy", "accuracy_L2", 2),
        ("eps_b", "across", "across", 1),
        ("salience_weight", "salience", "salience", 2),
    ],
)
def test_a_single_point_stands_in_the_middle_of_its_axis(
    tmp_path: Path,
    results: pd.DataFrame,
    axis: str,
    panel: str,
    name: str,
    place: int,
    log_axes: tuple[str, ...],
) -> None:
    kept = results[(results["axis"] != axis) | (results["value"] == 0)]
    look = Look(panels=(panel,), log_axes=log_axes)
    figure = draw(kept, small_examples(), small_gradients(), look)[name]
    axes = figure.axes[place]
    assert list(axes.get_xticks()) == [0] and sum(axes.get_xlim()) == 0
    save(figure, tmp_path / name)


def test_a_missing_sweep_names_the_axis_and_the_data_set(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="dual over the axis eps_b in L2 for data set shapes6"):
        accuracy_panels(results[results["axis"] != "eps_b"], "L2", Look())


def test_a_point_missing_for_one_defence_is_refused(results: pd.DataFrame) -> None:
    lost = (results["defence"] == "at_dual") & (results["attack"] == "pgd") & (results["value"] == 1)
    with pytest.raises(UserError, match=r"\[0, 3\] for at_dual, expected each of \[0, 1, 3\]"):
        accuracy_panels(results[~lost], "L2", Look())


def test_a_point_measured_twice_is_refused(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="once"):
        accuracy_panels(pd.concat([results, results]), "L2", Look())


def test_two_data_sets_in_one_figure_are_refused(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="one dataset"):
        accuracy_panels(pd.concat([results, results.assign(dataset="other")]), "L2", Look())


def test_a_defence_without_a_colour_is_refused(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match=r"plots\.palette.*at_pgd"):
        salience_panels(results, Look(palette={"clean": "red", "at_dual": "green"}))


def test_dual_examples_show_pictures_predictions_and_scores(examples: dict[str, np.ndarray]) -> None:
    figure = dual_pictures(examples, Look())
    assert len(figure.axes) == 3 * 4
    headings = [axes.get_title().replace("\n", " ") for axes in figure.axes[:4]]
    assert headings[2:] == ["dual, salience weight 0", "dual, salience weight 10"]
    first = figure.axes[2]
    assert np.allclose(first.images[0].get_array(), examples["dual"][0, 0].transpose(1, 2, 0))
    assert first.images[0].get_interpolation() == "nearest"
    assert first.get_xlabel() == "✗ $dog$\nFS 0.25"
    assert figure.axes[0].get_xlabel() == "cat\nFS 0.50"
    assert all(len(axes.get_xlabel()) < 40 for axes in figure.axes)


@pytest.mark.parametrize(("weights", "width"), [(2, 7.0), (8, 7.0), (4, 6.0)])
def test_headings_of_many_columns_do_not_overlap(
    examples: dict[str, np.ndarray], weights: int, width: float
) -> None:
    for name in ("dual", "dual_predicted", "dual_score"):
        examples[name] = np.repeat(examples[name][:1], weights, axis=0)
    examples["salience_weights"] = np.geomspace(0.001, 100, weights)
    figure = dual_pictures(examples, Look(width_inches=width))
    figure.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in figure.axes[: 2 + weights]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 < figure.bbox.x1


def test_the_foreground_is_outlined_where_it_has_an_edge(examples: dict[str, np.ndarray]) -> None:
    empty, partial, full = dual_pictures(examples, Look()).axes[1::4]
    assert (len(empty.collections), len(partial.collections), len(full.collections)) == (0, 2, 0)
    assert "0% foreground" in empty.get_xlabel() and "100% foreground" in full.get_xlabel()


def test_noise_examples_put_foreground_noise_before_background_noise(examples: dict[str, np.ndarray]) -> None:
    figure = noise_pictures(examples, Look())
    assert len(figure.axes) == 3 * 3
    for axes, name in zip(figure.axes, ("original", "foreground_noise", "background_noise"), strict=False):
        assert np.allclose(axes.images[0].get_array(), examples[name][0].transpose(1, 2, 0))


def test_saved_bytes_are_the_same_for_freshly_built_figures(
    tmp_path: Path, results: pd.DataFrame, examples: dict[str, np.ndarray]
) -> None:
    written: list[dict[str, bytes]] = []
    look = Look(panels=("salience", "dual_examples", "accuracy"))
    for folder in (tmp_path / "one", tmp_path / "two"):
        for name, figure in draw(results, examples, small_gradients(), look).items():
            assert save(figure, folder / name) == [folder / f"{name}.png", folder / f"{name}.svg"]
            assert not figure.axes
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(written[0]) == 8, list(written[0])
    assert written[0] == written[1]


def test_a_readers_own_matplotlib_settings_change_nothing(tmp_path: Path, results: pd.DataFrame) -> None:
    import matplotlib

    plain = save(salience_panels(results, Look()), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "another"}):
        own = save(salience_panels(results, Look()), tmp_path / "own")
    assert [path.read_bytes() for path in own] == [path.read_bytes() for path in plain]
