"""Captions of Fig. 3 to 5 and across norms: what is plotted, and statements computed from the table."""

from __future__ import annotations

import pandas as pd

from dualperturb.figures.accuracy import SWEEPS, has_jsma_panel
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.salience import clean_score, salience_sweeps
from dualperturb.figures.sweeps import constant, defences, jsma, norms, only, sweep
from dualperturb.report.texts import images_text, names_text, ordered


def accuracy_caption(results: pd.DataFrame, norm: str) -> str:
    """Fig. 4 and 5: the sweeps, n, and AT-Dual against AT-PGD on each where both were measured."""
    by_foreground, by_background, whole = (sweep(results, attack, axis, norm) for attack, axis in SWEEPS)
    dual = pd.concat([by_foreground, by_background])
    text = (
        f"Adversarial accuracy of {names_text(whole)} in the {NORM_NAMES[norm]} norm: "
        f"(a) dual over the foreground budget, eps_b = {constant(by_foreground, 'eps_b'):g}; "
        f"(b) dual over the background budget, eps_f = {constant(by_background, 'eps_f'):g}; "
        f"(c) PGD over one budget for the whole image. "
        f"Salience weight of dual: {constant(dual, 'salience_weight'):g}.{salience_note(dual)} "
        f"{images_text(pd.concat([dual, whole]))}; bands are 95 % Wilson intervals."
    )
    if has_jsma_panel(results, norm):
        text += " " + _jsma_text(jsma(results, norm))
    if {"at_pgd", "at_dual"} <= set(defences(whole)):
        text += "".join(" " + _lead(rows) for rows in (by_foreground, by_background, whole))
    return text


def across_caption(results: pd.DataFrame) -> str:
    """Each classifier under attacks of the other norm, at the largest budget of PGD and of eps_b."""
    parts = []
    for norm in norms(results):
        for attack, axis in (("pgd", "eps"), ("dual", "eps_b")):
            rows, alike = (sweep(results, attack, axis, norm, alike=own) for own in (False, True))
            value = float(rows["value"].max())
            compared = [_compared(rows, alike, defence, value) for defence in defences(rows)]
            parts.append(f"{NORM_NAMES[norm]} {attack}, {axis} = {value:g}: {', '.join(compared)}")
    return (
        "Classifiers trained with one norm under attacks in the other; thin, those trained with the attack's "
        "own norm, and the clean one. Accuracy at the largest budgets, with that of the classifier trained "
        f"with the attack's norm in brackets. {'; '.join(parts)}."
    )


def salience_caption(results: pd.DataFrame) -> str:
    """Fig. 3: what changes from the smallest to the largest weight, an objective and a defence at a time."""
    by_objective = salience_sweeps(results)
    rows = pd.concat(by_objective.values())
    norm, first, last = only(rows, "norm"), rows["value"].min(), rows["value"].max()
    text = (
        f"Mean foreground score (above) and adversarial accuracy (below) of {names_text(rows)} under dual "
        f"in the {NORM_NAMES[norm]} norm with "
        f"eps_f = {constant(rows, 'eps_f'):g}, eps_b = {constant(rows, 'eps_b'):g} over the salience weight, "
        f"by the paper's objective (a) and the balanced one (b). {images_text(rows)}; bands are 95 % "
        f"intervals. The thin line is the mean score of the same images without attack, "
        f"{clean_score(results, norm):.3f}.{salience_note(rows)}"
    )
    if first < last:
        changes = [f"by the {name} objective {_changes(own)}" for name, own in by_objective.items()]
        text += (
            " Change of foreground score and accuracy "
            f"from weight {first:g} to {last:g}: {'; '.join(changes)}."
        )
    return text + _crossed(results, norm)


def salience_note(rows: pd.DataFrame) -> str:
    """A sentence where the gradient of the foreground score was used for several steps, else nothing."""
    most = int(rows["salience_every"].max())
    return f" The gradient of the foreground score is renewed in every {most} steps." if most > 1 else ""


def _crossed(results: pd.DataFrame, norm: str) -> str:
    """How many images fall below a score of 0.5, of the classifiers trained with the norm."""
    rows = results[(results["axis"] == "unsuspicious") & (results["norm"] == norm)]
    if rows.empty:
        return ""
    counts = [
        f"{label(str(row['defence']))} {int(row['crossed_half'])} of {int(row['n'])}"
        for _, row in ordered(rows).iterrows()
    ]
    weight, objective = constant(rows, "salience_weight"), only(rows, "objective")
    return (
        f" Images whose foreground score falls below 0.5 (weight {weight:g}, {objective} objective): "
        f"{'; '.join(counts)}."
    )


def _jsma_text(rows: pd.DataFrame) -> str:
    most = float(rows["value"].max())
    left = [
        f"{label(str(row['defence']))} {100 * row['accuracy']:.1f} %"
        for _, row in ordered(rows[rows["value"] == most]).iterrows()
    ]
    return (
        f"(d) JSMA over the share of the pixels it may change, {images_text(rows)}; accuracy at "
        f"{100 * most:g} %: {', '.join(left)}."
    )


def _lead(rows: pd.DataFrame) -> str:
    """AT-Dual's largest lead over AT-PGD on a sweep, with both numbers, or that it has none."""
    dual, pgd = rows[rows["defence"] == "at_dual"], rows[rows["defence"] == "at_pgd"]
    lead = 100 * (dual["accuracy"].to_numpy() - pgd["accuracy"].to_numpy())
    axis, best = only(rows, "axis"), int(lead.argmax())
    if lead[best] <= 0:
        return f"AT-Dual is nowhere above AT-PGD on the {axis} sweep."
    apart = dual["accuracy_low"].iloc[best] > pgd["accuracy_high"].iloc[best]
    return (
        f"AT-Dual's largest lead over AT-PGD on the {axis} sweep: {lead[best]:.1f} points "
        f"at {axis} = {dual['value'].iloc[best]:g} ({'intervals apart' if apart else 'intervals overlap'})."
    )


def _compared(rows: pd.DataFrame, alike: pd.DataFrame, defence: str, value: float) -> str:
    shares = [
        100 * float(table.loc[(table["defence"] == defence) & (table["value"] == value), "accuracy"].iloc[0])
        for table in (rows, alike)
    ]
    return f"{label(defence)} {shares[0]:.1f} % ({shares[1]:.1f} %)"


def _changes(rows: pd.DataFrame) -> str:
    changes = []
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        score = own["foreground_score"].iloc[-1] - own["foreground_score"].iloc[0]
        accuracy = 100 * (own["accuracy"].iloc[-1] - own["accuracy"].iloc[0])
        changes.append(f"{label(defence)} {score:+.3f} and {accuracy:+.1f} points")
    return ", ".join(changes)
