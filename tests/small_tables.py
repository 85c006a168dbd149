"""A small results table of two norms, arrays and look, for the tests of the figures and of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dualperturb.evaluation.claims.lines import COLUMNS as CLAIM_COLUMNS
from dualperturb.evaluation.tables import ANY, BOUNDS, LOSS, UNSEEN
from dualperturb.figures import PANELS, Certificate
from dualperturb.params import SALIENCE_LOSSES, SMOOTHED, Figures

ACCURACY = {"clean": 0.1, "at_pgd": 0.4, "at_dual": 0.7}
NORMS = ("L2", "Linf")
BUDGETS = {"L2": (2.0, 20.0), "Linf": (4.0, 20.0)}
# As shipped: the norms of the paper's figures.
FIGURES = Figures.model_validate(
    {
        "fig1": {
            **{"norm": "Linf", "eps_f": 4.0, "eps_b": 20.0, "salience_weights": [0, 10]},
            **{"min_foreground_score": "clean", "defence": "at_pgd"},
        },
        "fig2": {"norm": "Linf", "eps": 40.0, "defence": "at_pgd"},
        "fig3": {"norm": "L2", "eps_f": 2.0, "eps_b": 20.0},
        "fig4": {"norm": "L2"},
        "fig5": {"norm": "Linf", "trained": "L2"},
    }
)
CERTIFICATE = Certificate(
    *(0.25, 0.001, 1000, 400),
    **{"sigma_f": 0.2, "sigma_b": 3.0, "mask": "center"},
    largest_radii={"smoothing": 0.616, "smoothing_dual": 0.493},
    left_out={"smoothing": (), "smoothing_dual": (0.5,)},
)
CLASSES = ("cat", "$dog$", "a name far too long to print")
_PER_UNIT = {"L2": 1 / 7, "Linf": 1 / 255}


@dataclass(frozen=True)
class Look:
    """The `plots` section of params.yaml in small."""

    palette: dict[str, str] = field(
        default_factory=lambda: {
            **{"clean": "#0072B2", "at_pgd": "#D55E00"},
            **{"at_dual": "#009E73", "smoothing": "#CC79A7", "smoothing_dual": "#56B4E9"},
        }
    )
    width_inches: float = 7.0
    dpi: int = 60
    panels: tuple[str, ...] = PANELS
    log_axes: tuple[str, ...] = ()


def classifiers(norms: tuple[str, ...] = NORMS) -> list[tuple[str, str]]:
    """(defence, trained_norm), out of the paper's order."""
    trained = [(defence, norm) for defence in ("at_dual", "at_pgd") for norm in norms]
    return [*trained, ("clean", "none")]


def name(defence: str, trained: str) -> str:
    """As files and the column `source` name a classifier."""
    return defence if trained == "none" else f"{defence}_{trained}"


def small_results(norms: tuple[str, ...] = NORMS) -> pd.DataFrame:
    """Every measure of the clean, at_pgd and at_dual classifiers and of smoothing.

    Out of order; accuracies depend on the defence alone, less 0.05 where it is attacked in a norm that it was
    not trained with.
    """
    rows: list[dict[str, Any]] = []
    for norm in norms:
        for one in classifiers(norms):
            rows += _swept(*one, norm)
    for one in classifiers(norms):
        rows += _salience(*one, FIGURES.fig3.norm) if FIGURES.fig3.norm in norms else []
        rows += [_point(*one, "jsma", "L0", "share", share) for share in (0.1, 0.0, 0.05)]
        rows.append(_gradient(*one))
    for norm in norms:
        alike = [one for one in classifiers(norms) if one[1] in ("none", norm)]
        rows += [row for one in alike for row in _strong(*one, norm)]
        rows += [row for one in alike for row in _unsuspicious(*one, norm)]
        rows += _transfer(norm, norms)
    return pd.DataFrame(rows + _smoothing(norms))


def under_a_bound(results: pd.DataFrame, bound: str | float) -> pd.DataFrame:
    """The same, with a bound on the foreground score of all dual attacks that can keep one."""
    bounded = results["axis"].isin(("eps_f", "eps_b", "strong", "transfer"))
    bounded &= results["attack"].isin(("dual", "dual_autoattack"))
    return results.assign(min_foreground_score=pd.Series(bound, results.index, dtype=object).where(bounded))


def small_claims(norms: tuple[str, ...] = NORMS) -> pd.DataFrame:
    """A line of each verdict in the paper's setting, and one of ours in each other norm."""
    at_dual = {"defence": "at_dual", "against": "at_pgd", "interval": "paired", "p": 0.0123}
    rows: list[dict[str, Any]] = [
        _claim("at_pgd_broken", "fails", 0.4, defence="at_pgd", interval="wilson"),
        _claim("at_dual_leads", "holds", 0.5, **at_dual | {"p": np.nan}),
        _claim("weight_raises", "open", 0.01, **{LOSS: "cross_entropy", "p": 0.0001}),
        _claim("weight_raises", "holds", 0.06, **{LOSS: "dlr", "p": 0.5}),
        _claim("jsma", "open", 0.0, norm="L0", **at_dual),
        _claim("carlini_wagner", "not measured", np.nan),
    ]
    if "Linf" in norms:
        rows.append(_claim("across_pgd", "holds", 0.2, norm="Linf", **at_dual))
    ours = [norm for norm in norms if norm != "L2"]
    for norm in ours:
        rows.append(_claim("at_dual_leads", "open", 0.42, **at_dual, trained_norm=norm, norm=norm))
    return pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))


def _claim(claim: str, verdict: str, value: float, **columns: object) -> dict[str, object]:
    trained = columns.get("trained_norm", "L2")
    own = {"dataset": "shapes6", "setting": "paper" if trained == "L2" else "ours", "claim": claim}
    own |= {"defence": "clean", "trained_norm": "L2", "norm": "L2", "place": f"where {claim} is", "n": 50}
    return own | {"value": value, "low": value - 0.05, "high": value + 0.05, "verdict": verdict} | columns


def small_trainings() -> pd.DataFrame:
    """As reports/results.csv has three trainings: accuracies as above, 0.03 lower, and 0.06 higher."""
    first = small_results()
    apart = {0: 0.0, 1: -0.03, 2: 0.06}
    return pd.concat(
        [first.assign(training=seed, accuracy=first["accuracy"] + less) for seed, less in apart.items()],
        ignore_index=True,
    )


def small_health(norms: tuple[str, ...] = NORMS) -> pd.DataFrame:
    """Two checks a classifier and norm; at_pgd's slope warns."""
    checks = (("slope", "Does a step along the gradient raise the loss?"), ("finite", "Is all finite?"))
    return pd.DataFrame(
        {
            "check": check,
            "question": question,
            "passed": check != "slope" or defence != "at_pgd",
            "figures": f"<b>7</b> of 9 points of {defence}.",
            "n": 9,
            **{
                "dataset": "shapes6",
                "defence": defence,
                "trained_norm": trained,
                "training": 0,
                "norm": norm,
            },
        }
        for norm in norms
        for defence, trained in classifiers(norms)
        if trained in ("none", norm)
        for check, question in checks
    )


def small_examples() -> dict[str, dict[str, np.ndarray]]:
    """The arrays of Fig. 1, at two salience weights and under the bound, and of Fig. 2.

    Three images with an empty, a partial and a full foreground.
    """
    count, side, columns = 3, 8, 3
    random = np.random.default_rng(0)
    dual = {
        **_pictures(("original",), count, side),
        "log_density": random.random((count, side, side)),
        "salience_weights": np.array([0.0, 10.0]),
        "dual": random.random((columns, count, 3, side, side), dtype=np.float32),
        "dual_predicted": np.array([[1, 1, 2], [1, 0, 0], [1, 0, 1]]),
        "dual_score": np.array([[0.25, 0.25, 0.25], [0.25, 0.25, 0.25], [0.5, 0.6, 0.65]]),
        "budgets": np.array([4.0, 20.0]),
        "bound": np.array("clean"),
    }
    noise = _pictures(("original", "background_noise", "foreground_noise"), count, side)
    return {"dual": dual, "noise": noise | {"budgets": np.array([40.0])}}


def _pictures(names: tuple[str, ...], count: int, side: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {
        **{name: random.random((count, 3, side, side), dtype=np.float32) for name in names},
        **{f"{name}_predicted": np.array([0, 1, 2]) for name in names},
        **{f"{name}_score": np.array([0.5, 0.6, 0.7]) for name in names},
        "indices": np.array([4, 5, 6]),
        "labels": np.array([0, 1, 2]),
        "class_names": np.array(CLASSES),
        "foreground": _foreground(count, side),
        "norm": np.array("Linf"),
        "defence": np.array("at_pgd"),
        "trained_norm": np.array("Linf"),
    }


def small_gradients(norms: tuple[str, ...] = NORMS) -> dict[str, np.ndarray]:
    """The arrays of Fig. 6: three images, every classifier; the first has no gradient at the first image."""
    random = np.random.default_rng(1)
    names = [name(*one) for one in classifiers(norms)]
    count, side = 3, 8
    zero = np.zeros((len(names), count), dtype=bool)
    zero[0, 0] = True
    return {
        "indices": np.array([4, 5, 6]),
        "labels": np.array([0, 1, 2]),
        "class_names": np.array(CLASSES),
        "original": random.random((count, 3, side, side), dtype=np.float32),
        "foreground": _foreground(count, side),
        "classifiers": np.array(names),
        "gradients": random.random((len(names), count, 3, side, side), dtype=np.float32),
        "share": np.full((len(names), count), 0.4),
        "enrichment": np.full((len(names), count), 1.5),
        "zero_gradient": zero,
    }


def small_gallery(norms: tuple[str, ...] = NORMS, side: int = 8) -> dict[str, np.ndarray]:
    """Three images under four attacks. PGD fools all, the dual attack all but the last image, JSMA none.

    Every classifier is wrong about the last image without attack.
    """
    random = np.random.default_rng(2)
    names = [name(*one) for one in classifiers(norms)]
    attacks = ["PGD (L2)", "dual, weight 0 (L2)", "dual, weight 10 (L2)", "JSMA (L0)"]
    shape = (len(names), len(attacks), 3)
    original = random.random((3, 3, side, side), dtype=np.float32)
    labels = np.array([0, 1, 2])
    predicted = np.broadcast_to(labels, shape).copy()
    predicted[:, 0] = (labels + 1) % 3
    predicted[:, 1:3, :2] = (labels[:2] + 1) % 3
    noise = random.normal(0, 0.02, (*shape, 3, side, side))
    return {
        **{"indices": np.array([4, 5, 6]), "labels": labels, "class_names": np.array(CLASSES)},
        **{"original": original, "foreground": _foreground(3, side)},
        "log_density": random.random((3, side, side)).astype(np.float32),
        "classifiers": np.array(names),
        "attacks": np.array(attacks),
        "norms": np.array(["L2", "L2", "L2", "L0"]),
        "examples": np.clip(original + noise, 0, 1).astype(np.float16),
        "predicted": predicted,
        "confidence": np.full(shape, 0.875),
        "foreground_score": np.full(shape, 0.55),
        "foreground_norm": np.full(shape, 0.1),
        "background_norm": np.full(shape, 0.25),
        "clean_predicted": np.tile(np.array([0, 1, 0]), (len(names), 1)),
        "clean_confidence": np.full((len(names), 3), 0.5),
        "clean_score": np.full(3, 0.5),
    }


def _foreground(count: int, side: int) -> np.ndarray:
    """Empty, partial and full."""
    foreground = np.zeros((count, 1, side, side), dtype=bool)
    foreground[1, :, 2:6, 2:6] = True
    foreground[2] = True
    return foreground


def _point(defence: str, trained: str, attack: str, norm: str, axis: str, value: float) -> dict[str, Any]:
    across = norm in NORMS and trained not in ("none", norm)
    accuracy = ACCURACY.get(defence, 0.5) - 0.05 * across
    return {
        **{"dataset": "shapes6", "defence": defence, "trained_norm": trained},
        **{"attack": attack, "norm": norm, "axis": axis, "value": value, "n": 50},
        **{"accuracy": accuracy, "accuracy_low": accuracy - 0.05, "accuracy_high": accuracy + 0.05},
    }


def _budgets(norm: str, eps_f: float, eps_b: float) -> dict[str, Any]:
    spent = {"eps_f_spent": eps_f * _PER_UNIT[norm], "eps_b_spent": eps_b * _PER_UNIT[norm]}
    weights = {"salience_weight": 0.0, "loss": "cross_entropy", "salience_every": 1, "steps": 20}
    weights |= {"min_foreground_score": np.nan}
    return {"eps_f": eps_f, "eps_b": eps_b} | spent | weights | _mean("foreground_score", 0.6, 0.02)


def _mean(measure: str, value: float, reach: float) -> dict[str, float]:
    return {measure: value, f"{measure}_low": value - reach, f"{measure}_high": value + reach}


def _swept(defence: str, trained: str, norm: str) -> list[dict[str, Any]]:
    eps_f, eps_b = BUDGETS[norm]
    asked = [("dual", "eps_f", value, value, eps_b) for value in (4.0, 0.0, 2.0)]
    asked += [("dual", "eps_b", value, eps_f, value) for value in (0.0, 10.0, 20.0)]
    asked += [("pgd", "eps", value, value, value) for value in (0.0, 1.0, 3.0)]
    return [
        _point(defence, trained, attack, norm, axis, value) | _budgets(norm, own_f, own_b)
        for attack, axis, value, own_f, own_b in asked
    ]


def _salience(defence: str, trained: str, norm: str) -> list[dict[str, Any]]:
    return [
        _point(defence, trained, "dual", norm, "salience_weight", value)
        | _budgets(norm, *BUDGETS[norm])
        | {"salience_weight": value, "loss": loss}
        for loss in SALIENCE_LOSSES
        for value in (0.0, 0.1, 10.0)
    ]


def _gradient(defence: str, trained: str) -> dict[str, Any]:
    measured = _mean("gradient_share", 0.4, 0.03) | _mean("gradient_enrichment", 1.5, 0.1)
    counts = {"gradient_foreground_fraction": 0.344, "gradient_zero_gradients": 2, "n": 48}
    own = {"dataset": "shapes6", "defence": defence, "trained_norm": trained, "axis": "gradient"}
    return own | measured | counts


def _strong(defence: str, trained: str, norm: str) -> list[dict[str, Any]]:
    eps_f, eps_b = BUDGETS[norm]
    rows = [
        _point(defence, trained, attack, norm, "strong", np.nan) | _budgets(norm, eps_f, budget)
        for attack, budget in (("pgd", eps_f), ("dual", eps_b), ("dual_autoattack", eps_b))
    ]
    rows = [row | {"steps": 100} for row in rows]
    rows.append(
        _point(defence, trained, "autoattack", norm, "strong", np.nan)
        | {"eps_f": eps_f, "n": 16, "square_queries": 5000}
    )
    if norm == "L2":
        rows += [
            _point(defence, trained, "cw", norm, "eps", value) | {"eps_f": value, "steps": 100}
            for value in (0.0, 1.0, 2.0, 3.0)
        ]
    return rows


def _unsuspicious(defence: str, trained: str, norm: str) -> list[dict[str, Any]]:
    """Every attack's curve, accuracy rising to 1 with the bound, and its judges' rows."""
    rows = []
    for attack in ("pgd", "dual", "sum", "constrained", "guided", ANY):
        own = _point(defence, trained, attack, norm, "unsuspicious", np.nan) | _budgets(norm, *BUDGETS[norm])
        own |= {"salience_weight": float(attack == "sum")}
        for bound in BOUNDS:
            share = own["accuracy"] + (1 - own["accuracy"]) * bound
            ends = {"accuracy": share, "accuracy_low": share - 0.05, "accuracy_high": share + 0.05}
            rows.append(own | {"axis": "bound", "value": bound, "judge": "builtin"} | ends)
        for judge in ("builtin", "contrast", "frequency_tuned", "center", UNSEEN):
            rows.append(own | {"judge": judge} | ({} if attack == ANY else _judged(judge)))
    return rows


def _judged(judge: str) -> dict[str, Any]:
    if judge == UNSEEN:
        return {}
    row = _mean("score_change", -0.05, 0.01) | {"crossed_half": 7}
    if judge == "builtin":
        row |= _mean("ssim_distance", 0.2, 0.01) | _mean("ssim_distance_foreground", 0.1, 0.01)
    return row


def _transfer(norm: str, norms: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for attack in ("pgd", "dual"):
        for source in classifiers(norms):
            for target in classifiers(norms):
                row = _point(*target, attack, norm, "transfer", np.nan) | _budgets(norm, *BUDGETS[norm])
                rows.append(row | {"source": name(*source), "accuracy": 0.2 if source == target else 0.6})
    return rows


def _smoothing(norms: tuple[str, ...]) -> list[dict[str, Any]]:
    certified = [
        _point(defence, "none", "certificate", "L2", "radius", radius) | {"accuracy": 0.5 - radius / 2}
        for defence, radii in zip(SMOOTHED, ((0.0, 0.5, 0.25), (0.0, 0.25)), strict=True)
        for radius in radii
    ]
    certified += [
        _point(defence, "none", "certificate", "L2", axis, eps_b)
        | {"eps_f": 2.0, "eps_b": eps_b, "accuracy": 0.0 if "out" in axis else 0.5 - eps_b / 80}
        for defence, axis, eps_b in (
            *(("smoothing", "certified_eps_b", eps_b) for eps_b in (0.0, 2.0)),
            *(("smoothing", "eps_b_out_of_reach", eps_b) for eps_b in (20.0, 5.0)),
            *(("smoothing_dual", "certified_eps_b", eps_b) for eps_b in (0.0, 20.0, 2.0, 5.0)),
        )
    ]
    attacked = [
        _point("smoothing", "none", attack, norm, "smoothing", np.nan)
        | _budgets(norm, BUDGETS[norm][0], BUDGETS[norm][attack == "dual"])
        for norm in norms
        for attack in ("pgd", "dual")
    ]
    return certified + attacked
