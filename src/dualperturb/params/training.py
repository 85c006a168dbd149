"""A data set's section `train` in params.yaml: the classifier, its optimiser, and each defence's training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from dualperturb.params.adversarial import AdversarialTraining, DualTraining, PgdTraining, Training
from dualperturb.params.fields import BelowOne, Index, NonNegative, Positive, Section, Several, Switch, Text
from dualperturb.params.named import Named, have_names, inheriting


class ClassifierParams(Section):
    architecture: Text
    weights: Text


class Optimiser(Section):
    batch_size: Several
    learning_rate: Positive
    momentum: BelowOne
    weight_decay: NonNegative
    schedule: Literal["one_cycle", "cosine"]


class Augment(Section):
    pad: Index
    flip: Switch


class CleanTraining(Training):
    pass


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
    """named: further adversarially trained classifiers by name. What such a section does not say is that of
    at_pgd or at_dual, by its adversary.
    """

    classifier: ClassifierParams
    optimiser: Optimiser
    augment: Augment
    clean: CleanTraining
    at_pgd: PgdTraining
    at_dual: DualTraining
    smoothing: SmoothingTraining
    smoothing_dual: DualSmoothingTraining
    named: Annotated[dict[str, Named], BeforeValidator(lambda raw: have_names(raw, DEFENCES))] = {}

    @model_validator(mode="before")
    @classmethod
    def _named_inherit(cls, raw: object) -> object:
        return inheriting(raw)

    def of(self, defence: str) -> Training:
        """The section of a defence, one of `DEFENCES` or of `named`."""
        section: Training = self.named[defence] if defence in self.named else getattr(self, defence)
        return section

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
