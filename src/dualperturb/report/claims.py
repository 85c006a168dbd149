"""The claims' table in words: what is claimed, the rule, this run's number, and the verdict."""

from __future__ import annotations

import pandas as pd

from dualperturb.evaluation.claims.lines import DEFENCES, FAILS, HOLDS, NOT_MEASURED, OPEN, RULES
from dualperturb.evaluation.tables import LOSS
from dualperturb.figures.names import LOSS_NAMES, NORM_NAMES, label

# claim -> what is claimed, and what it holds if; * stands for the rule's bound, in its unit.
_TEXTS = {
    "dual_stronger": (
        "The dual attack is stronger than PGD",
        "accuracy under dual at {eps_f, eps_b} less that under PGD at eps_f is below *",
    ),
    "at_pgd_broken": ("AT-PGD breaks under the dual attack", "accuracy at {eps_f, eps_b} is below *"),
    "small_eps_f": (
        "Where eps_b is large, a small eps_f suffices",
        "accuracy under dual at eps_b and the least eps_f above 0, less that under PGD at eps_f, is below *",
    ),
    "at_dual_leads": (
        "AT-Dual is up to 40 points better than AT-PGD under dual",
        "the lead at {eps_f, eps_b}, named beforehand, is above *",
    ),
    "large_pgd": (
        "AT-Dual is 20 points better under PGD of large budgets",
        "the lead at the least eps swept above 1.5 eps_f, the paper's 3.0, is above *",
    ),
    "little_lost": ("AT-Dual loses little accuracy on clean images", "its lead is above *"),
    "score_half": (
        "The foreground score of dual examples mostly exceeds 0.5",
        "it does on more than * of the images, at weight 1",
    ),
    "score_high": (
        "In most cases the foreground score exceeds 0.9",
        "it does on more than * of the images, at weight 1",
    ),
    "weight_raises": (
        "A larger salience weight raises the foreground score",
        "its mean changes by more than *",
    ),
    "weight_keeps": (
        "A moderate salience weight does not weaken the attack",
        "accuracy rises by less than *",
    ),
    "across_pgd": ("Trained in another norm, AT-Dual is better under PGD", "the lead is above *"),
    "across_dual": ("Trained in another norm, AT-Dual is much better under dual", "the lead is above *"),
    "across_hardly": ("There, AT-PGD is hardly better than Clean", "the lead is below *"),
    "jsma": ("AT-Dual is better under JSMA", "the lead at the largest share of pixels is above *"),
    "gradients": (
        "AT-Dual's loss gradients gather more in the foreground",
        "their share of energy there is larger by more than *",
    ),
    "constraint_beats_sum": (
        "A bound on the foreground score serves better than the paper's sum",
        "the share of images with an unsuspicious example exceeds that by the sum by more than *",
    ),
    "guides_transfer": (
        "Several climbed models with a reserve convince unseen judges better than one without",
        "the share of images with an example that is unsuspicious to them is larger by more than *",
    ),
    "at_dual_unsuspicious": (
        "AT-Dual withstands unsuspicious examples better",
        "its lead in unsuspicious adversarial accuracy is above *",
    ),
    "carlini_wagner": ("C&W finds what PGD finds", "accuracy under both differs by less than *"),
}
_SHARES = ("at_pgd_broken", "score_half", "score_high")  # in %; the others are differences, of points
_MEANS = ("weight_raises",)  # but for these, of means


def claims_text(claims: pd.DataFrame) -> pd.DataFrame:
    """Rows of the claims' table as the page shows them. Columns: claim, holds if, classifier (with the norm),
    verdict, ours (with its 95 % interval), p, n, at."""
    return pd.DataFrame([_row(line) for _, line in claims.iterrows()])


def tally(claims: pd.DataFrame) -> str:
    """How many lines hold, fail and are open, as in "7 of 20 lines hold, 3 fail, 10 are open at this n."."""
    holding, failing, left, lacking = (
        int((claims["verdict"] == verdict).sum()) for verdict in (HOLDS, FAILS, OPEN, NOT_MEASURED)
    )
    text = f"{holding} of {len(claims)} lines hold, {failing} fail, {left} are open at this n"
    return f"{text}, {lacking} were not measured." if lacking else f"{text}."


def _row(line: pd.Series) -> dict[str, str]:
    claim = str(line["claim"])
    said, rule = _TEXTS[claim]
    bound = _number(claim, RULES[claim].bound, signed=False)
    if line["defence"] not in DEFENCES:  # one beside the paper's, by the claims about AT-Dual
        said = said.replace("AT-Dual", label(str(line["defence"])))
    own = {"claim": said, "holds if": rule.replace("*", bound), "classifier": _classifier(line)}
    own["verdict"] = str(line["verdict"])
    if own["verdict"] == NOT_MEASURED:
        return own | dict.fromkeys(("ours", "p", "n", "at"), "–")
    low, high = (_number(claim, float(line[end]), unit=False) for end in ("low", "high"))
    own["ours"] = f"{_number(claim, float(line['value']))} [{low}, {high}]"
    return own | {"p": _p(line["p"]), "n": f"{int(line['n'])}", "at": str(line["place"])}


def _classifier(line: pd.Series) -> str:
    """Such as "AT-Dual less AT-PGD, L2"; the attack's norm, too, where it is another one."""
    given = {name: "" if pd.isna(line[name]) else str(line[name]) for name in ("against", LOSS, "norm")}
    text = label(str(line["defence"])) + (f" less {label(given['against'])}" if given["against"] else "")
    text += f", {LOSS_NAMES[given[LOSS]]} loss" if given[LOSS] else ""
    trained = str(line["trained_norm"])
    across = given["norm"] in NORM_NAMES and given["norm"] not in (trained, "L0")
    return f"{text}, {NORM_NAMES[trained]}" + (f" under {NORM_NAMES[given['norm']]}" if across else "")


def _number(claim: str, value: float, signed: bool = True, unit: bool = True) -> str:
    if claim in _MEANS:
        return f"{value:+.3f}" if signed else f"{value:g}"
    named = " %" if claim in _SHARES else " points"
    sign = "+" if signed and claim not in _SHARES else ""
    text = f"{100 * value:{sign}.1f}" if signed else f"{100 * value:g}"
    return text + (named if unit else "")


def _p(p: float) -> str:
    if pd.isna(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
