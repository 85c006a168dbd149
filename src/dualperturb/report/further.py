"""Captions and tables of what follows Fig. 5: gradients (Fig. 6), transfer (appendix D), smoothing (J)."""

from __future__ import annotations

import pandas as pd

from dualperturb.figures.names import ATTACKS, NORM_NAMES, classifier_labels
from dualperturb.figures.smoothing import certificates, smoothing_attacks
from dualperturb.figures.transfer import transfer_table
from dualperturb.report.data import Certificate
from dualperturb.report.texts import (
    budgets_text,
    images,
    interval_text,
    mean_text,
    ordered,
    row_label,
    several_norms,
)


def gradient_table(results: pd.DataFrame) -> pd.DataFrame:
    """A row a classifier: the share of gradient energy inside the foreground, also over its area."""
    rows, several = ordered(results[results["axis"] == "gradient"]), several_norms(results)
    return pd.DataFrame(
        {
            "classifier": row_label(row, several),
            "energy inside the foreground": interval_text(row, "gradient_share"),
            "foreground's share of the area": f"{100 * row['gradient_foreground_fraction']:.1f} %",
            "energy over area": mean_text(row, "gradient_enrichment"),
            "images without a gradient": int(row["gradient_zero_gradients"]),
            "n": int(row["n"]),
        }
        for _, row in rows.iterrows()
    )


def gradient_caption(results: pd.DataFrame) -> str:
    """Fig. 6: how the pictures are made, and each classifier's share with its interval."""
    table = gradient_table(results)
    columns = (table["classifier"], table["energy inside the foreground"])
    shares = [f"{name} {share}" for name, share in zip(*columns, strict=True)]
    return (
        "Gradients of the loss with respect to the pixels, each clipped to its mean and 3 standard "
        f"deviations to either side. Share of their energy inside the foreground, mean of {_counts(table)} "
        f"test image{'' if set(table['n']) == {1} else 's'} with 95 % intervals: {'; '.join(shares)}."
    )


def transfer_shown(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """A row an attack and source, a column a target: accuracy with its interval."""
    table = transfer_table(results, norm)
    labels = classifier_labels(table["source"].unique())
    shown: dict[tuple[str, str], dict[str, object]] = {}
    for _, row in table.iterrows():
        key = str(row["attack"]), str(row["source"])
        start = {"attack": ATTACKS[key[0]], "made on": labels[key[1]], "n": int(row["n"])}
        shown.setdefault(key, start)[f"tried on {labels[str(row['target'])]}"] = interval_text(row)
    return pd.DataFrame(shown.values())


def transfer_caption(results: pd.DataFrame, norm: str) -> str:
    """What the cells are; for each attack the pair in which transfer is strongest beside the white box."""
    table = transfer_table(results, norm)
    labels = classifier_labels(table["source"].unique())
    parts = []
    for attack, rows in table.groupby("attack", sort=False):
        parts.append(f"{ATTACKS[str(attack)]} ({_budgets(rows.iloc[0])}): {_strongest(rows, labels)}")
    return (
        f"Accuracy in % of each classifier on {NORM_NAMES[norm]} examples made on each other, the same "
        f"{images(int(table['n'].iloc[0]))} in every cell; framed, the white-box attacks. Lowest accuracy on "
        f"transferred examples: {'; '.join(parts)}."
    )


def smoothing_table(results: pd.DataFrame) -> pd.DataFrame:
    """Certified accuracy a radius, then the accuracy under each attack."""
    shown = [
        {"smoothed classifier": f"certified at radius {row['value']:g}", "accuracy": interval_text(row)}
        | {"n": int(row["n"])}
        for _, row in certificates(results).iterrows()
    ]
    for _, row in smoothing_attacks(results).iterrows():
        name = f"under {ATTACKS[str(row['attack'])]}, {_budgets(row)}"
        shown.append({"smoothed classifier": name, "accuracy": interval_text(row), "n": int(row["n"])})
    return pd.DataFrame(shown)


def smoothing_caption(results: pd.DataFrame, certificate: Certificate) -> str:
    """Appendix J: certificate and attacks, and the radius that no certificate can exceed."""
    rows = certificates(results)
    attacked = [
        f"{ATTACKS[str(row['attack'])]} with {_budgets(row)} {100 * row['accuracy']:.1f} %"
        for _, row in smoothing_attacks(results).iterrows()
    ]
    text = (
        f"Randomized smoothing with noise of sigma = {certificate.sigma:g}: share of "
        f"{images(int(rows['n'].iloc[0]))} classified rightly and certified over the L2 radius in "
        f"pixels in [0, 1] (alpha = {certificate.alpha:g}, {certificate.samples} noisy copies an image). "
        f"No radius can exceed sigma * Phi^-1(alpha^(1/{certificate.samples})) = "
        f"{certificate.largest_radius:.3f}, "
        "whatever the classifier."
    )
    if attacked:
        text += (
            f" Accuracy under attacks that climb the expectation over noise: {'; '.join(attacked)}; a "
            "prediction that was abstained from counts as wrong."
        )
    return text


def _budgets(row: pd.Series) -> str:
    eps_b = None if row["attack"] == "pgd" else float(row["eps_b"])
    return budgets_text(str(row["norm"]), float(row["eps_f"]), eps_b)


def _strongest(rows: pd.DataFrame, labels: dict[str, str]) -> str:
    same = rows["source"] == rows["target"]
    if same.all():
        return "none, one classifier"
    white_box = rows[same].set_index("target")["accuracy"]
    least = rows[~same].sort_values("accuracy", kind="stable").iloc[0]
    own = 100 * white_box[least["target"]]
    return (
        f"{labels[str(least['target'])]} {100 * least['accuracy']:.1f} % on those of "
        f"{labels[str(least['source'])]}, {own:.1f} % on its own"
    )


def _counts(table: pd.DataFrame) -> str:
    return " / ".join(str(count) for count in dict.fromkeys(table["n"]))
