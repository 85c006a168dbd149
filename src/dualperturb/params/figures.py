"""The section `figures` of params.yaml: norm and budgets of the paper's figures, as they are there.

They do not follow `norms`, nor `eps_f` and `eps_b` but for Fig. 4 and 5. A figure of curves whose norm is not
among `norms` says so in its place; Fig. 1 and 2 need no norm that classifiers are trained with.
"""

from __future__ import annotations

from typing import Annotated

from dualperturb.core.budgets import NORMS
from dualperturb.params.bounds import Bound
from dualperturb.params.fields import NonNegative, Section, Text, Values, one_of

Norm = Annotated[str, one_of(tuple(NORMS))]


class DualExamples(Section):
    """Fig. 1. min_foreground_score: of a column of its own, as in `pgd`; defence: the classifier attacked."""

    norm: Norm
    eps_f: NonNegative
    eps_b: NonNegative
    salience_weights: Values
    min_foreground_score: Bound
    defence: Text


class NoiseExamples(Section):
    """Fig. 2. eps: the budget of the one region that is perturbed."""

    norm: Norm
    eps: NonNegative
    defence: Text


class Salience(Section):
    """Fig. 3: the norm of the attacks and of the classifiers' training."""

    norm: Norm
    eps_f: NonNegative
    eps_b: NonNegative


class Accuracy(Section):
    """Fig. 4: the norm of the attacks and of the classifiers' training.

    Its budgets are `eps_f` and `eps_b` in that norm, with which AT-Dual trains: both move together.
    """

    norm: Norm


class Across(Section):
    """Fig. 5: the norm of the attacks, and that of the classifiers' training.

    Its budgets are `eps_f` and `eps_b` in the norm of the attacks, as in `Accuracy`.
    """

    norm: Norm
    trained: Norm


class Figures(Section):
    fig1: DualExamples
    fig2: NoiseExamples
    fig3: Salience
    fig4: Accuracy
    fig5: Across
