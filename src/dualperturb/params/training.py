"""A data set's section `train` in params.yaml: the classifier, its optimiser, and each defence's training."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ValidationError, model_validator

from dualperturb.core.budgets import NORMS
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
    one_of,
)
from dualperturb.params.refusals import first_fault, wrong_key

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def _have_names(raw: object) -> object:
    """Names are parts of paths, and a norm's is put behind them."""
    for name in raw if isinstance(raw, dict) else ():
        norm = str(name).rpartition("_")[2] in NORMS
        if name in DEFENCES or norm or not _NAME.fullmatch(str(name)):
            raise wrong_key(
                str(name),
                "unknown key; accepted: names of lower-case letters, digits and _, a letter first, but not "
                + ", ".join(DEFENCES),
            )
    return raw


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
    """Its budgets are eps_f and eps_b at the top of params.yaml: one override moves training and figures."""

    salience_weight: NonNegative


class NamedPgd(PgdTraining):
    """A classifier beside AT-PGD, with a radius of its own."""

    adversary: Literal["pgd"]


class NamedDual(DualTraining):
    """A classifier beside AT-Dual. eps_f, eps_b: its budgets, by the norm of training.

    foreground_norm: that of eps_f, where it is another one. masks: each image's own; "random", its own at a
    random place, so that only the place differs; or "center", the centre bias's, the same for all images.
    """

    adversary: Literal["dual"]
    eps_f: Radii
    eps_b: Radii
    foreground_norm: Annotated[str, one_of(tuple(NORMS))] | None = None
    masks: Literal["own", "random", "center"] = "own"


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


_KINDS: dict[str, type[NamedPgd | NamedDual]] = {"pgd": NamedPgd, "dual": NamedDual}


def _by_adversary(raw: object) -> NamedPgd | NamedDual:
    """A named section by its key `adversary`. A union's own messages would name the classes."""
    if not isinstance(raw, dict) or raw.get("adversary") not in _KINDS:
        found = raw.get("adversary") if isinstance(raw, dict) else raw
        raise wrong_key("adversary", f"found {found!r}; accepted: {' or '.join(_KINDS)}")
    try:
        return _KINDS[raw["adversary"]].model_validate(raw)
    except ValidationError as error:
        raise wrong_key(*first_fault(error)) from None


Named = Annotated[NamedPgd | NamedDual, BeforeValidator(_by_adversary)]


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
    named: Annotated[dict[str, Named], BeforeValidator(_have_names)] = {}

    @model_validator(mode="before")
    @classmethod
    def _named_inherit(cls, raw: object) -> object:
        """Leaves what is no mapping to the fields' own checks."""
        if not isinstance(raw, dict) or not isinstance(named := raw.get("named"), dict):
            return raw
        return raw | {"named": {name: _inherited(section, raw) for name, section in named.items()}}

    def of(self, defence: str) -> Training:
        """The section of a defence, one of `DEFENCES` or of `named`."""
        section: Training = self.named[defence] if defence in self.named else getattr(self, defence)
        return section

    def smoothed(self, defence: str) -> SmoothingTraining | DualSmoothingTraining:
        """The section of one of SMOOTHED."""
        section: SmoothingTraining | DualSmoothingTraining = getattr(self, defence)
        return section


def _inherited(section: object, trainings: dict[str, object]) -> object:
    if not isinstance(section, dict):
        return section
    base = trainings.get(f"at_{section.get('adversary')}")
    return (base if isinstance(base, dict) else {}) | section


def _trainings(kind: type[Training]) -> tuple[str, ...]:
    """The keys of `Train` whose section is of this kind, which are the names of defences."""
    kinds = {name: field.annotation for name, field in Train.model_fields.items()}
    return tuple(name for name, own in kinds.items() if isinstance(own, type) and issubclass(own, kind))


DEFENCES = _trainings(Training)
TRAINED_BY_NORM = _trainings(AdversarialTraining)  # one classifier a norm; the other defences know no norm
SMOOTHED = (*_trainings(SmoothingTraining), *_trainings(DualSmoothingTraining))  # judged by certificates
