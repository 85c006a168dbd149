from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from dualperturb.attacks.nested import nested_pgd
from dualperturb.core.balls import Dual
from dualperturb.core.norms import L2
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.health.tables import sweep_line
from dualperturb.evaluation.measuring.intervals import mean_interval, wilson
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_images
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.sweeps.nested import around
from dualperturb.evaluation.sweeps.points import Point, points, sweep
from dualperturb.saliency.contrast import ContrastSaliency

SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=20, seed=0)
COLUMNS = [
    *("attack", "axis", "value", "norm", "eps_f", "eps_b", "eps_f_spent", "eps_b_spent", "salience_weight"),
    *("loss", "salience_every", "min_foreground_score", "steps"),
    *("n", "accuracy", "accuracy_low", "accuracy_high"),
    *("foreground_score", "foreground_score_low", "foreground_score_high"),
]
MakeSubject = Callable[..., Subject]


def a_seventh(value: float) -> float:
    return value / 7


def test_what_is_not_on_the_axis_stays_fixed() -> None:
    assert points("eps", (0.0, 3.0), 2.0, 20.0, 1.0, "dlr") == [
        Point("eps", 0.0, 0.0, None, 0.0, "dlr"),
        Point("eps", 3.0, 3.0, None, 0.0, "dlr"),
    ]
    assert points("eps_f", (3.0,), 2.0, 20.0, 1.0, "dlr") == [Point("eps_f", 3.0, 3.0, 20.0, 1.0, "dlr")]
    assert points("eps_b", (3.0,), 2.0, 20.0, 1.0, "dlr") == [Point("eps_b", 3.0, 2.0, 3.0, 1.0, "dlr")]


def test_over_the_salience_weight_both_losses_are_measured() -> None:
    assert points("salience_weight", (3.0,), 2.0, 20.0, 1.0, "cross_entropy") == [
        Point("salience_weight", 3.0, 2.0, 20.0, 3.0, loss) for loss in ("cross_entropy", "dlr")
    ]


def test_an_unknown_axis_is_refused_with_the_names_accepted() -> None:
    with pytest.raises(
        UserError, match=r"^axis: found 'eps_g'; accepted: eps, eps_f, eps_b, salience_weight$"
    ):
        points("eps_g", (1.0,), 2.0, 20.0, 1.0, "cross_entropy")


@pytest.mark.parametrize("axis", ["eps", "eps_f", "eps_b"])
def test_rows_and_images_agree(make_subject: MakeSubject, axis: str) -> None:
    values = (0.0, 2.0, 4.0)
    table, images = sweep(
        make_subject(), points(axis, values, 2.0, 7.0, 0.5, "cross_entropy"), "L2", a_seventh, SETTINGS
    )
    assert list(table.columns) == COLUMNS
    assert table["value"].tolist() == list(values) and set(table["axis"]) == {axis}
    assert set(table["attack"]) == {"pgd" if axis == "eps" else "dual"} and set(table["norm"]) == {"L2"}
    assert (table["n"] == 20).all() and (table["steps"] == 3).all()
    assert len(images) == 60 and images.columns[:2].tolist() == ["axis", "value"]
    for row in table.itertuples():
        own = images[images["value"] == row.value]
        assert own["index"].tolist() == list(range(20))
        assert row.accuracy == own["correct"].mean()
        assert (row.accuracy_low, row.accuracy_high) == wilson(int(own["correct"].sum()), 20)
        scores = own["foreground_score"].to_numpy()
        assert row.foreground_score == pytest.approx(scores.mean())
        assert (row.foreground_score_low, row.foreground_score_high) == pytest.approx(mean_interval(scores))
        if axis != "eps":
            assert own["foreground_norm"].max() <= row.eps_f_spent * 1.0001
            assert own["background_norm"].max() <= row.eps_b_spent * 1.0001


def test_budgets_are_at_the_papers_scale_and_what_is_spent_is_the_radius(make_subject: MakeSubject) -> None:
    table, _ = sweep(
        make_subject(), points("eps_b", (0.0, 7.0), 2.0, 9.0, 1.0, "cross_entropy"), "L2", a_seventh, SETTINGS
    )
    assert table["eps_f"].tolist() == [2.0, 2.0] and table["eps_b"].tolist() == [0.0, 7.0]
    assert table["eps_f_spent"].tolist() == [2 / 7, 2 / 7] and table["eps_b_spent"].tolist() == [0.0, 1.0]
    assert table["salience_weight"].tolist() == [1.0, 1.0]
    table, _ = sweep(
        make_subject(), points("eps", (0.0, 7.0), 2.0, 9.0, 1.0, "cross_entropy"), "Linf", a_seventh, SETTINGS
    )
    for name in ("eps_f", "eps_b"):
        assert table[name].tolist() == [0.0, 7.0]
        assert table[f"{name}_spent"].tolist() == [0.0, 1.0]
    assert table["salience_weight"].tolist() == [0.0, 0.0]


def test_pgd_without_a_budget_is_the_clean_accuracy(make_subject: MakeSubject) -> None:
    table, images = sweep(
        make_subject(), points("eps", (0.0, 4.0), 2.0, 9.0, 0.0, "cross_entropy"), "L2", a_seventh, SETTINGS
    )
    assert table["accuracy"][0] == 0.8 and table["accuracy"][1] < 0.8
    assert (images[images["value"] == 0][["foreground_norm", "background_norm"]] == 0).all(axis=None)


def test_a_sweep_repeats(make_subject: MakeSubject) -> None:
    panel = points("eps_f", (1.0, 2.0), 2.0, 7.0, 0.5, "cross_entropy")
    first, second = (sweep(make_subject(), panel, "L2", a_seventh, SETTINGS) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_each_loss_is_attacked_by_itself_even_without_salience(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def counted(*arguments: object) -> pd.DataFrame:
        runs.append(arguments)
        return attack_images(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("dualperturb.evaluation.sweeps.points.attack_images", counted)
    panel = points("salience_weight", (0.0, 5.0), 2.0, 7.0, 0.5, "cross_entropy")
    settings = replace(SETTINGS, salience_every=2)
    table, images = sweep(make_subject(), panel, "L2", a_seventh, settings)
    assert len(runs) == 4 and len(table) == 4 and len(images) == 80
    assert table["loss"].tolist() == ["cross_entropy", "dlr"] * 2
    assert table["salience_every"].tolist() == [1, 1, 2, 2]
    measured = images.groupby(["value", "loss"])["foreground_score"].mean()
    for weight in (0.0, 5.0):
        assert measured[weight, "cross_entropy"] != measured[weight, "dlr"]


def test_points_along_a_budget_are_attacked_together_and_accuracy_never_rises(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked: list[list[float]] = []

    def counted(model: object, images: object, labels: object, balls: list[L2], **rest: Any) -> Any:
        attacked.append([ball.radius * 7 for ball in balls])
        return nested_pgd(model, images, labels, balls, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr("dualperturb.evaluation.sweeps.nested.nested_pgd", counted)
    values = (4.0, 0.0, 1.0, 2.0)
    table, images = sweep(
        make_subject(), points("eps", values, 2.0, 9.0, 0.0, "cross_entropy"), "L2", a_seventh, SETTINGS
    )
    assert attacked == [[1.0, 2.0, 4.0]]
    assert table["value"].tolist() == list(values) and (table["n"] == 20).all()
    right = {value: set(images[(images["value"] == value) & images["correct"]]["index"]) for value in values}
    assert right[4.0] < right[2.0] <= right[1.0] < right[0.0]
    for value in values:
        own = images[images["value"] == value]
        assert own["index"].tolist() == list(range(20))
        assert (
            own["foreground_norm"] ** 2 + own["background_norm"] ** 2 <= (value / 7 * 1.0001) ** 2 + 1e-9
        ).all()


def test_every_setting_reaches_what_attacks_together(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def watched(model: object, images: object, labels: object, balls: list[L2], **given: Any) -> Any:
        asked.update(given)
        return nested_pgd(model, images, labels, balls, **given)  # type: ignore[arg-type]

    monkeypatch.setattr("dualperturb.evaluation.sweeps.nested.nested_pgd", watched)
    settings = AttackSettings(2, 0.7, 3, 20, 9, precision="bf16")
    subject = make_subject([7, 3])
    settings = replace(settings, min_foreground_score="clean-0.05")
    wanted = {"steps": 2, "step_size": 0.7, "restarts": 3, "seed": 9, "precision": "bf16", "indices": [7, 3]}
    wanted |= {"around": [[1], []], "loss": "dlr"}
    bounds = {"eps": None, "eps_b": "clean-0.05"}  # in one region there is no foreground to hold it in
    for axis, bound in bounds.items():
        sweep(subject, points(axis, (1.0, 2.0), 2.0, 9.0, 0.0, "dlr"), "L2", a_seventh, settings)
        assert asked == wanted | {"saliency": (subject.saliency,), "min_foreground_score": bound}
    guided = replace(settings, guides=(ContrastSaliency(),))
    sweep(subject, points("eps_b", (1.0, 2.0), 2.0, 9.0, 0.0, "dlr"), "L2", a_seventh, guided)
    assert asked["saliency"] == guided.guides


def test_two_panels_are_attacked_together_and_share_their_point(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked: list[Any] = []

    def counted(model: object, images: object, labels: object, balls: list[Dual], **rest: Any) -> Any:
        attacked.append([[ball.inside.radius * 7, ball.outside.radius * 7] for ball in balls])
        return nested_pgd(model, images, labels, balls, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr("dualperturb.evaluation.sweeps.nested.nested_pgd", counted)
    over_f = points("eps_f", (0.0, 1.0, 3.0), 1.0, 2.0, 0.0, "cross_entropy")
    over_b = points("eps_b", (0.0, 2.0, 4.0), 1.0, 2.0, 0.0, "cross_entropy")
    table, images = sweep(make_subject(), over_f + over_b, "L2", a_seventh, SETTINGS)
    assert attacked == [[[0.0, 2.0], [1.0, 0.0], [1.0, 2.0], [1.0, 4.0], [3.0, 2.0]]]
    right = {key: set(own[own["correct"]]["index"]) for key, own in images.groupby(["axis", "value"])}
    assert right["eps_f", 1.0] == right["eps_b", 2.0]
    for axis, (small, middle, large) in {"eps_f": (0.0, 1.0, 3.0), "eps_b": (0.0, 2.0, 4.0)}.items():
        assert right[axis, large] <= right[axis, middle] <= right[axis, small]
        own = table[table["axis"] == axis]
        assert own["value"].tolist() == [small, middle, large] and own["accuracy"].is_monotonic_decreasing


def test_what_lies_next_around_each_threat_model() -> None:
    budgets = [(0.0, 20.0), (2.0, 0.0), (2.0, 10.0), (2.0, 20.0), (2.0, 30.0), (4.0, 20.0)]
    rising = [ThreatModel("L2", *pair) for pair in budgets]
    assert around(rising) == [[3], [2], [3], [4, 5], [], []]
    assert around([ThreatModel("L2", eps) for eps in (1.0, 2.0, 4.0)]) == [[1], [2], []]


def test_a_nested_sweep_is_no_weaker_than_its_points_attacked_afresh(make_subject: MakeSubject) -> None:
    values = (0.0, 1.0, 2.0, 4.0)
    panel = points("eps_b", values, 1.0, 9.0, 0.0, "cross_entropy")
    together, _ = sweep(make_subject(), panel, "L2", a_seventh, SETTINGS)
    alone = pd.concat([sweep(make_subject(), [point], "L2", a_seventh, SETTINGS)[0] for point in panel])
    assert (together["accuracy"].to_numpy() <= alone["accuracy"].to_numpy()).all()
    assert together["accuracy"].is_monotonic_decreasing


@pytest.mark.parametrize("bound", ["clean", 0.45])
def test_under_a_bound_accuracy_never_rises_and_is_that_of_examples_that_keep_it(
    make_subject: MakeSubject, bound: str | float
) -> None:
    over_f = points("eps_f", (0.0, 1.0, 3.0), 1.0, 2.0, 0.0, "cross_entropy")
    over_b = points("eps_b", (0.0, 2.0, 4.0), 1.0, 2.0, 0.0, "cross_entropy")
    whole = over_f + over_b
    settings = replace(SETTINGS, min_foreground_score=bound)
    table, images = sweep(make_subject(), whole, "L2", a_seventh, settings)
    assert table["min_foreground_score"].tolist() == [bound] * 6
    alone = pd.concat([sweep(make_subject(), [point], "L2", a_seventh, settings)[0] for point in whole])
    assert (table["accuracy"].to_numpy() <= alone["accuracy"].to_numpy()).all()
    clean = attack_images(make_subject(), ThreatModel("L2", 0.0, 0.0), 0.0, SETTINGS)["foreground_score"]
    least = clean if bound == "clean" else bound
    right, missed = {}, False
    for key, own in images.groupby(["axis", "value"]):
        own = own.reset_index(drop=True)
        fools, unchanged = own["predicted"] != own["label"], own["foreground_score"] == clean
        keeps = (own["foreground_score"] >= least + 5e-6) | (unchanged & (clean >= least))
        right[key] = set(own.loc[~(fools & keeps), "index"])
        assert set(own.loc[own["correct"], "index"]) == right[key]
        missed |= bool((fools & ~keeps).any())
    assert missed == (bound != "clean"), "the images themselves hold that bound"
    assert right["eps_f", 1.0] == right["eps_b", 2.0]
    for axis, (small, middle, large) in {"eps_f": (0.0, 1.0, 3.0), "eps_b": (0.0, 2.0, 4.0)}.items():
        assert right[axis, large] <= right[axis, middle] <= right[axis, small]
    assert right["eps_b", 4.0] < right["eps_b", 0.0]


@pytest.mark.parametrize(("weight", "bound"), [(0.0, None), (0.0, "clean"), (0.5, None)])
def test_health_checks_the_sweeps_that_are_not_attacked_together(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, weight: float, bound: str | None
) -> None:
    together = []

    def watched(*given: Any, **named: Any) -> Any:
        together.append(given)
        return nested_pgd(*given, **named)

    monkeypatch.setattr("dualperturb.evaluation.sweeps.nested.nested_pgd", watched)
    panel = points("eps_b", (1.0, 2.0), 1.0, 2.0, weight, "cross_entropy")
    settings = replace(SETTINGS, min_foreground_score=bound)
    table, _ = sweep(make_subject(), panel, "L2", a_seventh, settings)
    assert (sweep_line(table) is None) == bool(together) == (weight == 0)


def test_pgd_and_sweeps_without_a_bound_name_none(make_subject: MakeSubject) -> None:
    bounded = replace(SETTINGS, min_foreground_score="clean")
    for axis, settings in (("eps", bounded), ("eps_b", SETTINGS)):
        panel = points(axis, (1.0, 2.0), 1.0, 2.0, 0.0, "cross_entropy")
        table, _ = sweep(make_subject(), panel, "L2", a_seventh, settings)
        assert table["min_foreground_score"].isna().all()


def test_with_salience_every_point_is_attacked_afresh(make_subject: MakeSubject) -> None:
    panel = points("eps_b", (0.0, 7.0), 2.0, 9.0, 1.0, "cross_entropy")
    together, _ = sweep(make_subject(), panel, "L2", a_seventh, SETTINGS)
    alone, _ = sweep(make_subject(), panel[1:], "L2", a_seventh, SETTINGS)
    pd.testing.assert_frame_equal(together[1:].reset_index(drop=True), alone)
