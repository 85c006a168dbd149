"""The transfer matrix as heat maps: numbers in their cells, names, refusals, stable bytes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from dualperturb.errors import UserError
from dualperturb.figures import save
from dualperturb.figures.transfer import transfer_panels
from tests.small_tables import Look

NAMES = ["clean", "at_pgd", "at_dual/Linf"]
LABELS = {"at_dual/Linf": r"AT-Dual, $L_\infty$", "pgd": "PGD, 3"}


def cells(attacks: list[str], names: list[str]) -> pd.DataFrame:
    """Accuracies that name their place: 0.12 is row 1, column 2; the next attack starts 0.3 higher."""
    return pd.DataFrame(
        {"attack": attack, "source": source, "target": target, "accuracy": 0.3 * a + 0.1 * s + 0.01 * t}
        for a, attack in enumerate(attacks)
        for s, source in enumerate(names)
        for t, target in enumerate(names)
    )


@pytest.fixture
def table() -> pd.DataFrame:
    return cells(["pgd", "dual"], NAMES)


def numbers(axes: Axes) -> dict[tuple[float, float], str]:
    """(row, column) -> text."""
    return {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}


def test_every_accuracy_stands_in_its_cell(table: pd.DataFrame) -> None:
    pgd, dual, bar = transfer_panels(table, LABELS, Look()).axes
    assert numbers(pgd)[0, 2] == "2" and numbers(pgd)[2, 0] == "20" and numbers(dual)[2, 1] == "51"
    assert [len(numbers(axes)) for axes in (pgd, dual)] == [9, 9]
    assert pgd.images[0].get_array()[1, 2] == pytest.approx(12)
    assert (pgd.images[0].get_clim(), bar.get_ylim()) == ((0, 100), (0, 100))


def test_names_come_from_the_labels_and_else_from_the_house(table: pd.DataFrame) -> None:
    figure = transfer_panels(table, LABELS, Look())
    pgd, dual, _ = figure.axes
    assert (pgd.get_title(), dual.get_title()) == ("PGD, 3", "dual")
    shown = ["Clean", "AT-PGD", r"AT-Dual, $L_\infty$"]
    assert [text.get_text() for text in pgd.get_yticklabels()] == shown
    assert [text.get_text() for text in dual.get_xticklabels()] == shown
    assert [text.get_text() for text in dual.get_yticklabels()] == ["", "", ""]
    assert (figure.get_supylabel(), figure.get_supxlabel()) == ("examples made on", "tried on")


def test_the_order_is_the_tables_whatever_its_rows(table: pd.DataFrame) -> None:
    mixed = pd.concat([table.iloc[:1], table.iloc[1:].sample(frac=1, random_state=0)])
    figure = transfer_panels(mixed, LABELS, Look())
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    row, column = names.index("AT-PGD"), names.index("Clean")
    panel = next(axes for axes in figure.axes if axes.get_title() == "dual")
    assert numbers(panel)[row, column] == "40"


def test_numbers_are_legible_on_their_cells() -> None:
    table = cells(["pgd"], ["clean"])
    for accuracy in (0.0, 0.25, 0.46, 0.48, 0.75, 1.0):
        axes = transfer_panels(table.assign(accuracy=accuracy), LABELS, Look()).axes[0]
        ink = _luminance(to_rgb(axes.texts[0].get_color()))
        cell = _luminance(axes.images[0].cmap(accuracy)[:3])
        contrast = (max(ink, cell) + 0.05) / (min(ink, cell) + 0.05)
        assert contrast >= 4.5  # WCAG 2.1, level AA


def _luminance(colour: tuple[float, ...]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("attacks", "names", "panels"), [(1, 3, 1), (3, 6, 3), (4, 6, 4), (5, 2, 5)])
def test_any_number_of_panels_fits_the_width(attacks: int, names: int, panels: int) -> None:
    chosen = cells([f"attack {a}" for a in range(attacks)], [f"defence {n}" for n in range(names)])
    figure = transfer_panels(chosen.assign(accuracy=0.5), {}, Look())
    assert len(figure.axes) == panels + 1
    assert figure.get_size_inches()[0] <= Look().width_inches + 1e-9
    # Every column of panels has the targets' names below its lowest one.
    named = [axes for axes in figure.axes[:-1] if axes.get_xticklabels()[0].get_text()]
    assert len(named) == min(panels, 3 if names <= 4 else 2)


@pytest.mark.parametrize("count", [3, 5, 9, 13, 25])
def test_no_text_runs_into_another_or_out_of_the_figure(count: int) -> None:
    names = ["clean", *(f"a_defence_named_at_length_{n}" for n in range(1, count))]
    figure = transfer_panels(cells(["pgd", "dual"], names).assign(accuracy=1.0), LABELS, Look())
    figure.draw_without_rendering()
    panels = figure.axes[:2]
    assert {axes.get_position().width * figure.get_figwidth() / count > 0.25 for axes in panels} == {True}
    for axes in panels:
        places = [text.get_window_extent() for text in axes.texts]
        beside = [pair for pair in pairwise(places) if pair[0].overlaps(pair[1])]
        below = [pair for pair in zip(places, places[count:], strict=False) if pair[0].overlaps(pair[1])]
        assert (beside, below) == ([], [])
        named = [text.get_window_extent() for text in axes.get_yticklabels() if text.get_text()]
        assert not any(one.overlaps(other) for one, other in pairwise(named))
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert [text.get_text() for text in texts if not _inside(text, figure)] == []


def _inside(text: Text, figure: Figure) -> bool:
    box, whole = text.get_window_extent(), figure.bbox
    return box.x0 >= -0.5 and box.y0 >= -0.5 and box.x1 <= whole.x1 + 0.5 and box.y1 <= whole.y1 + 0.5


def test_a_missing_or_doubled_cell_is_refused(table: pd.DataFrame) -> None:
    for wrong in (table.drop(index=12), pd.concat([table, table.iloc[[12]]])):
        with pytest.raises(
            UserError, match=r"^transfer: dual: expected each of the 9 pairs of clean, at_pgd"
        ):
            transfer_panels(wrong, LABELS, Look())
    with pytest.raises(UserError, match="^transfer: expected at least one attack"):
        transfer_panels(table.iloc[:0], LABELS, Look())


def test_saved_bytes_are_the_same_for_freshly_built_figures(tmp_path: Path, table: pd.DataFrame) -> None:
    one, two = (save(transfer_panels(table, LABELS, Look()), tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
