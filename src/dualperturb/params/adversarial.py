"""The sections of adversarial trainings in params.yaml: AT-PGD's, AT-Dual's, and what they share."""

from __future__ import annotations

from pydantic import model_validator

from dualperturb.params.fields import BelowOne, Count, NonNegative, Radii, Section, Share


class Training(Section):
    epochs: Count


class AdversarialTraining(Training):
    """One classifier a norm; the other defences know no norm.

    clean_share: the weight of the loss on the images as they are, beside that on adversarial ones.
    """

    steps: Count
    step_size: Share
    warmup_epochs: NonNegative
    clean_share: BelowOne = 0.0

    @model_validator(mode="after")
    def _full_budget_is_reached(self) -> AdversarialTraining:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs:g} leaves no epoch of {self.epochs} at the full budget; "
                "accepted: fewer than epochs"
            )
        return self


class PgdTraining(AdversarialTraining):
    eps: Radii


class DualTraining(AdversarialTraining):
    """Its budgets are eps_f and eps_b at the top of params.yaml: one override moves training and figures."""

    salience_weight: NonNegative
