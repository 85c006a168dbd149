"""Which figures are drawn in which norms, and those of smoothing and on logarithmic axes."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from dualperturb.errors import UserError
from dualperturb.figures import (
    PANELS,
    accuracy_panels,
    chosen_panels,
    draw,
    read_arrays,
    salience_panels,
)
from dualperturb.figures.curves import lines, value_axis
from dualperturb.figures.names import classifier_labels
from dualperturb.figures.panel import DrawnFrom, ToldFrom
from dualperturb.figures.smoothing import smoothing_panels
from dualperturb.figures.sweeps import sweep
from dualperturb.params import Figures
from tests.small_tables import (
    CERTIFICATE,
    FIGURES,
    Look,
    small_examples,
    small_gradients,
    small_results,
)


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


def test_all_figures_stand_in_the_papers_order(results: pd.DataFrame) -> None:
    drawn = draw(results, small_examples(), small_gradients(), FIGURES, Look())
    assert list(drawn) == [
        *("dual_examples", "unsuspicious_L2", "unsuspicious_Linf", "noise_examples", "salience", "accuracy"),
        *("across", "gradients", "transfer_L2", "transfer_Linf", "smoothing", "combinations_L2"),
        *("combinations_Linf", "tradeoff_L2", "tradeoff_Linf"),
    ]


def test_each_name_has_a_module_and_each_module_of_panels_a_name(results: pd.DataFrame) -> None:
    import dualperturb.figures as figures

    modules = [module.name for module in pkgutil.iter_modules(figures.__path__)]
    found = {name for name in modules if hasattr(import_module(f"{figures.__name__}.{name}"), "panels")}
    assert found == set(PANELS)
    for name in PANELS:
        assert {
            panel.stem.removesuffix("_L2").removesuffix("_Linf")
            for panel in chosen_panels(results, FIGURES, [name])
        } == {name}


def test_of_one_norm_nothing_tells_of_another() -> None:
    results, gradients = small_results(("Linf",)), small_gradients(("Linf",))
    drawn = draw(results, small_examples(), gradients, FIGURES, Look())
    assert set(drawn) == {
        *("dual_examples", "unsuspicious_Linf", "noise_examples", "gradients", "transfer_Linf"),
        *("smoothing", "combinations_Linf", "tradeoff_Linf"),
    }
    texts = {text.get_text() for name in ("gradients", "transfer_Linf") for text in _texts(drawn[name])}
    assert "AT-PGD" in texts and not [text for text in texts if "L2" in text or "infinity" in text]


def test_only_the_panels_asked_for_are_drawn(results: pd.DataFrame) -> None:
    look = Look(panels=("gradients", "accuracy"))
    assert list(draw(results, {}, small_gradients(), FIGURES, look)) == ["accuracy", "gradients"]


def test_an_unknown_panel_is_refused(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match=r"^plots\.panels: found 'accuracys'; accepted: dual_examples, "):
        chosen_panels(results, FIGURES, ("accuracys",))


def test_what_was_not_measured_is_left_out(results: pd.DataFrame) -> None:
    less = results[~results["axis"].isin(("transfer", "radius", "bound"))]
    assert not {"transfer_L2", "transfer_Linf", "smoothing", "unsuspicious_L2"} & {
        panel.stem for panel in chosen_panels(less, FIGURES, PANELS)
    }


def asked(**norms: str) -> Figures:
    """The shipped figures, with the norms of Fig. 3 to 5 (fig5: of the attack) changed."""
    return FIGURES.model_copy(
        update={
            name: getattr(FIGURES, name).model_copy(update={"norm": norm}) for name, norm in norms.items()
        }
    )


def told(results: pd.DataFrame, chosen: Figures, *names: str) -> dict[str, str]:
    """Stem -> caption of the panels that are not drawn."""
    given = ToldFrom(results, {}, CERTIFICATE)
    panels = chosen_panels(results, chosen, names)
    return {panel.stem: panel.caption(given) for panel in panels if panel.draw is None}


def test_across_norms_stand_the_classifiers_of_the_one_norm_under_attacks_in_the_other(
    results: pd.DataFrame,
) -> None:
    results.loc[results["attack"] == "jsma", "accuracy"] -= 0.1 * (results["trained_norm"] == "Linf")
    axes = draw(results, {}, {}, FIGURES, Look(panels=("across",)))["across"].axes
    assert len(axes) == 4 and all("$L_\\infty$" in one.get_xlabel() for one in axes[:3])
    for one, dual in zip(axes, (65, 65, 65, 70), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in one.get_lines()}
        assert np.allclose(lines["AT-Dual"], dual) and np.allclose(lines["Clean"], 10)


def test_jsma_that_was_not_measured_has_no_plot(results: pd.DataFrame) -> None:
    less = results[results["attack"] != "jsma"]
    assert len(draw(less, {}, {}, FIGURES, Look(panels=("across",)))["across"].axes) == 3


def test_each_combination_of_norms_is_in_one_figure(results: pd.DataFrame) -> None:
    names = ("accuracy", "across", "combinations")
    for chosen in (FIGURES, asked(fig4="Linf"), asked(fig5="L2"), asked(fig4="Linf", fig5="L2")):
        rows = [
            panel.rows(ToldFrom(results, {}, CERTIFICATE)) for panel in chosen_panels(results, chosen, names)
        ]
        trained = pd.concat(rows).query("axis == 'eps_b' and trained_norm != 'none'")
        same = (chosen.fig4.norm, chosen.fig4.norm) == (chosen.fig5.norm, chosen.fig5.trained)
        assert len(trained) == (5 if same else 4) * 2 * 3  # norms, defences, budgets


def test_of_three_norms_each_attack_has_one_further_figure() -> None:
    both = small_results()
    third = both[both["norm"] == "L2"].assign(norm="L1")
    across = both[both["trained_norm"] == "L2"].assign(trained_norm="L1")
    results = pd.concat([both, third, across, third[third["trained_norm"] == "L2"].assign(trained_norm="L1")])
    results = results.reset_index(drop=True)
    found = {panel.stem: panel for panel in chosen_panels(results, FIGURES, ("combinations",))}
    assert list(found) == ["combinations_L2", "combinations_Linf", "combinations_L1"]
    assert found["combinations_L1"].name == (
        "classifiers trained with L2, L-infinity and L1 under attacks in L1"
    )
    assert len(found["combinations_L2"].draw(DrawnFrom(results, {}, {}, Look())).axes) == 2 * 3


@pytest.mark.parametrize("norms", [("L2",), ("Linf",)])
def test_a_figure_whose_norm_is_not_in_use_is_a_line(norms: tuple[str, ...]) -> None:
    end = f", which is not among the norms of this run ({norms[0]})."
    expected = {
        ("L2",): {"across": f"Not drawn: figures.fig5.norm is Linf{end}"},
        ("Linf",): {
            "salience": f"Not drawn: figures.fig3.norm is L2{end}",
            "accuracy": f"Not drawn: figures.fig4.norm is L2{end}",
            "across": f"Not drawn: figures.fig5.trained is L2{end}",
        },
    }[norms]
    assert told(small_results(norms), FIGURES, *PANELS) == expected


def test_where_all_norms_are_in_use_every_figure_is_drawn(results: pd.DataFrame) -> None:
    assert told(results, FIGURES, *PANELS) == {}
    assert told(results, asked(fig4="L1"), *PANELS).keys() == {"accuracy"}


def test_certified_accuracy_is_a_line_and_pgd_a_point_at_the_radius_spent(results: pd.DataFrame) -> None:
    results.loc[results["defence"] == "smoothing_dual", "accuracy"] /= 2
    axes = smoothing_panels(results, Look()).axes[0]
    line, dual, point = axes.get_lines()[:3]
    assert list(line.get_xdata()) == [0, 0.25, 0.5] and np.allclose(line.get_ydata(), [50, 37.5, 25])
    assert np.allclose(dual.get_ydata(), [25, 18.75])
    assert np.allclose(point.get_xdata(), 2 / 7) and np.allclose(point.get_ydata(), 50)
    assert axes.get_xlim() == (0, 0.5)


def test_certificates_for_two_budgets_stand_beside_the_dual_attack(results: pd.DataFrame) -> None:
    figure = smoothing_panels(results, Look())
    axes = figure.axes[1]
    line, dual, point = axes.get_lines()[:3]
    assert list(line.get_xdata()) == [0, 2] and np.allclose(line.get_ydata(), [50, 47.5])
    assert list(dual.get_xdata()) == [0, 2, 5, 20] and np.allclose(dual.get_ydata(), [50, 47.5, 43.75, 25])
    assert np.allclose(point.get_xdata(), 20) and np.allclose(point.get_ydata(), 50)
    assert axes.get_title() == r"(b) two budgets, $\epsilon_f$ = 2"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Smoothing, certified", "Smoothing-Dual, certified", "Smoothing, under attack"]


def test_a_dual_attack_with_another_foreground_budget_is_not_beside_the_certificates(
    results: pd.DataFrame,
) -> None:
    results.loc[results["axis"] == "certified_eps_b", "eps_f"] = 1.0
    assert len(smoothing_panels(results, Look()).axes[1].get_lines()) == 2


def test_where_all_budgets_are_out_of_reach_radii_stand_alone(results: pd.DataFrame) -> None:
    results.loc[results["axis"] == "certified_eps_b", "axis"] = "eps_b_out_of_reach"
    figure = smoothing_panels(results, Look())
    assert [axes.get_title() for axes in figure.axes] == ["(a) one budget"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Smoothing, certified", "Smoothing-Dual, certified", "Smoothing, under attack"]


def test_smoothing_without_a_certificate_is_refused(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="no certified accuracy"):
        smoothing_panels(results[results["axis"] != "radius"], Look())


def test_a_legend_of_many_long_names_stays_inside_its_figure(results: pd.DataFrame) -> None:
    named = [f"a_defence_at_length_{n}" for n in range(10)]
    alike = [results[results["defence"] == "at_dual"].assign(defence=name) for name in named]
    palette = Look().palette | dict.fromkeys(named, "#000000")
    figure = accuracy_panels(
        pd.concat([results, *alike], ignore_index=True), "L2", ("L2",), Look(palette=palette)
    )
    figure.draw_without_rendering()
    (legend,), box = figure.legends, figure.legends[0].get_window_extent()
    assert len(legend.get_texts()) == 13 and box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes)


def test_the_named_axes_are_logarithmic_from_zero_on(results: pd.DataFrame) -> None:
    by_foreground, by_background, _ = accuracy_panels(results, "L2", ("L2",), Look(log_axes=("eps_b",))).axes
    assert by_foreground.get_xscale() == "linear" and by_background.get_xscale() == "symlog"
    assert list(by_background.get_xticks()) == [0, 10, 20]
    below = salience_panels(results, Look(log_axes=("salience_weight",))).axes[2]
    assert below.get_xscale() == "symlog"
    assert list(below.get_lines()[0].get_xdata()) == [0, 0.1, 10]


def test_labels_of_a_logarithmic_axis_do_not_run_into_each_other() -> None:
    shares = pd.Series([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    axes = Figure().subplots()
    value_axis(axes, "share", shares, Look(log_axes=("share",)))
    ticks = list(axes.get_xticks())
    assert ticks[0] == 0 and ticks[-1] == 10 and 3 <= len(ticks) <= 6
    places = axes.transData.transform([(tick, 0) for tick in ticks])[:, 0] / axes.bbox.width
    assert np.diff(places).min() > 0.12


@pytest.mark.parametrize("values", [1, 2])
def test_an_interval_is_seen_where_there_is_one_value_too(results: pd.DataFrame, values: int) -> None:
    axes = Figure().subplots()
    rows = sweep(results, "pgd", "eps", "L2")
    rows = rows[rows["value"].isin(sorted(rows["value"].unique())[:values])]
    lines(axes, rows, "accuracy", rows["value"], Look(), percent=True)
    seen = [path.get_extents() for drawn in axes.collections for path in drawn.get_paths()]
    least, most = 100 * rows["accuracy_low"].min(), 100 * rows["accuracy_high"].max()
    assert min(box.y0 for box in seen) == pytest.approx(least) and all(box.height > 0 for box in seen)
    assert max(box.y1 for box in seen) == pytest.approx(most)
    assert {type(drawn).__name__ for drawn in axes.collections} == {
        "LineCollection" if values == 1 else "FillBetweenPolyCollection"
    }


def test_classifiers_are_named_with_their_norm_where_there_are_two() -> None:
    assert classifier_labels(["clean", "at_pgd_L2", "at_dual_Linf"]) == {
        **{"clean": "Clean", "at_pgd_L2": "AT-PGD (L2)", "at_dual_Linf": "AT-Dual (L-infinity)"},
    }
    assert classifier_labels(["clean", "at_pgd_L2"]) == {"clean": "Clean", "at_pgd_L2": "AT-PGD"}


def test_arrays_that_are_absent_broken_or_objects_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 cut short")
    np.savez(tmp_path / "objects.npz", one=np.array([{}], dtype=object))
    for name in ("absent", "broken", "objects"):
        with pytest.raises(UserError, match=rf"{name}\.npz: cannot be read .*dvc repro"):
            read_arrays(tmp_path / f"{name}.npz")


def _texts(figure: Figure) -> list[Text]:
    return [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]
