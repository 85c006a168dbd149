"""The health table's lines: what each asks, and when it passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dualperturb.evaluation.health.gradients import PLACES, TINY

QUESTIONS = {
    "unbounded": "Does the attack reach 0 % when it may change the image as it likes?",
    "monotone": "Does accuracy never rise with a larger budget?",
    "steps": "Do twice the steps change accuracy by less than 1 point?",
    "restarts": "Does one more random start change accuracy by less than 1 point?",
    "one_step": "Is the iterated attack at least as strong as one step of the whole radius?",
    "noise": "Is the attack at least as strong as random noise of the same budget?",
    "transfer": "Is the attack at least as strong as examples made on other classifiers?",
    "gradients": "Is the loss's gradient nowhere zero?",
    "slope": "Does a step along the gradient raise the loss?",
    "finite": "Are all logits, losses and gradients finite?",
    "repeatable": "Does the classifier give the same logits and gradients when asked twice?",
    "logits": "Are the classifier's outputs logits, not probabilities?",
    "budget": "Does every example lie inside its budget and the pixel range?",
    "training": "Does the classifier keep, as it is used, the accuracy under attack that training logged?",
}

# Share of the points at which a step along the gradient must raise the loss. The classifiers tried that do
# not mask their gradient raise it at all points; a gradient that tells nothing raises it at about half of
# them, at each of the lengths.
RISING = 0.9


@dataclass(frozen=True)
class Line:
    """One check. figures: one computed sentence; n: the number of images that the check rests on."""

    check: str
    passed: bool
    figures: str
    n: int

    def row(self) -> dict[str, object]:
        """The table's columns."""
        return {
            "check": self.check,
            "question": QUESTIONS[self.check],
            "passed": bool(self.passed),
            "figures": self.figures,
            "n": self.n,
        }


def within_noise(images: int, count: int) -> bool:
    """Whether a change of `images` among `count` images is below 1 point, or of a single image.

    A single image is the least that can change: among 100 images it is 1 point already, and a new random
    start may well change it. So of 100 images 1 may change, of 300 images 2, of 1,000 images 9.
    """
    return images <= 1 or images / count < 0.01


def percent(images: int, count: int) -> str:
    """The share in %, as the lines' figures show it."""
    return f"{100 * images / count:.1f} %"


def difference_line(check: str, name: str, correct: np.ndarray, other: str, left: np.ndarray) -> Line:
    """Compares the attack `name` with the weaker `other` on the same images: it must leave no more standing.

    correct, left: bool (n,), the images that each of the two leaves standing.
    """
    count, own, weaker = len(correct), int(correct.sum()), int(left.sum())
    figures = f"{percent(own, count)} stand against {name}, {percent(weaker, count)} against {other}"
    missed = int((correct & ~left).sum())
    if own == weaker and own in (0, count):
        figures += ", so that this line tells nothing"
    elif missed:
        figures += f"; {missed} of {count} images are fooled by {other} alone"
    return Line(check, own <= weaker, f"{figures}.", count)


def gradient_lines(probed: pd.DataFrame) -> list[Line]:
    """The lines of what `probe` found: gradients that vanish or mislead, values that are not finite, answers
    that differ when repeated, and outputs that are not logits."""
    count, points = int(probed["index"].nunique()), len(probed)
    rising, finite, repeating, alike = (
        int(probed[column].sum()) for column in ("rises", "finite", "repeats", "distribution")
    )
    return [
        _vanishing_line(probed, count),
        Line(
            "slope",
            rising >= RISING * points,
            f"Short steps along the gradient raise the loss at {rising} of {points} points; at least "
            f"{100 * RISING:.0f} % should.",
            count,
        ),
        Line("finite", finite == points, f"Not finite at {points - finite} of {points} points.", count),
        Line(
            "repeatable",
            repeating == points,
            f"A second look differs at {points - repeating} of {points} points.",
            count,
        ),
        Line("logits", alike < points, f"Non-negative with sum 1 at {alike} of {points} points.", count),
    ]


def _vanishing_line(probed: pd.DataFrame, count: int) -> Line:
    """The line on vanishing gradients; those that are not a number are left to the line `finite`."""
    tiny = probed[probed["norm"] < TINY]
    shares = [
        f"{int((tiny['place'] == place).sum())} of {count} {name}"
        for place, name in zip(PLACES, ("images", "random starts"), strict=True)
    ]
    figures = f"Norm below {TINY:g} at {shares[0]} and {shares[1]}"
    if len(tiny):
        saturated = int((tiny["margin_norm"] >= TINY).sum())
        figures += (
            f", exactly 0 at {int((tiny['norm'] == 0).sum())} of these; the logits' margin still has a "
            f"gradient at {saturated} (softmax saturated in float32), none at {len(tiny) - saturated}"
        )
    else:
        zero = int((probed["loss"] == 0).sum())
        figures += (
            f", smallest {probed['norm'].min():.1e}; cross-entropy itself is 0 in float32 at {zero} points"
        )
    return Line("gradients", tiny.empty, f"{figures}.", count)
