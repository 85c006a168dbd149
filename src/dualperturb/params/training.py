"""A data set's section `train` in params.yaml: the classifier, its optimiser, and each defence's training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from dualperturb.params.fields import (
    Count,
    Index,
    Momentum,
    NonNegative,
    Positive,
    Radii,
    Section,
    Several,
    Share,
    Switch,
    Text,
)


class ClassifierParams(Section):
    architecture: Text
    weights: Text


class Optimiser(Section):
    batch_size: Several
    learning_rate: Positive
    momentum: Momentum
    weight_decay: NonNegative
    schedule: Literal["one_cycle", "cosine"]


class Augment(Section):
    pad: Index
    flip: Switch


class Training(Section):
    epochs: Count


class CleanTraining(Training):
    pass


class AdversarialTraining(Training):
    """One classifier a norm; the other defences know no norm."""

    steps: Count
    step_size: Share
    warmup_epochs: NonNegative

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
    salience_weight: NonNegative


class SmoothingTraining(Training):
    """sigma: standard deviation of the Gaussian noise, pixels in [0, 1] (Cohen et al. 2019)."""

    sigma: Positive

    @property
    def noise(self) -> dict[str, Any]:
        """The arguments of `attacks.smoothed.GaussianNoise`."""
        return {"sigma": self.sigma}

    @property
    def least_sigma(self) -> float:
        """That which bounds certified radii in L2."""
        return self.sigma


class DualSmoothingTraining(Training):
    """Noise by region: sigma_f in the foreground, sigma_b in the background, as above.

    mask: given, the data set's masks, which no perturbation may move; center, the same disc for every image.
    """

    sigma_f: Positive
    sigma_b: Positive
    mask: Literal["given", "center"]

    @property
    def noise(self) -> dict[str, Any]:
        """The arguments of `attacks.smoothed.GaussianNoise`."""
        return {"sigma": self.sigma_f, "background": self.sigma_b, "fixed": self.mask == "center"}

    @property
    def least_sigma(self) -> float:
        """That which bounds certified radii in L2."""
        return min(self.sigma_f, self.sigma_b)


class Train(Section):
    classifier: ClassifierParams
    optimiser: Optimiser
    augment: Augment
    clean: CleanTraining
    at_pgd: PgdTraining
    at_dual: DualTraining
    smoothing: SmoothingTraining
    smoothing_dual: DualSmoothingTraining

    def smoothed(self, defence: str) -> SmoothingTraining | DualSmoothingTraining:
        """The section of one of SMOOTHED."""
        section: SmoothingTraining | DualSmoothingTraining = getattr(self, defence)
        return section


def _trainings(kind: type[Training]) -> tuple[str, ...]:
    """The keys of `Train` whose section is of this kind, which are the names of defences."""
    kinds = {name: field.annotation for name, field in Train.model_fields.items()}
    return tuple(name for name, own in kinds.items() if isinstance(own, type) and issubclass(own, kind))


DEFENCES = _trainings(Training)
TRAINED_BY_NORM = _trainings(AdversarialTraining)  # one classifier a norm; the other defences know no norm
SMOOTHED = (*_trainings(SmoothingTraining), *_trainings(DualSmoothingTraining))  # judged by certificates
