"""The parameters of one defence's training in params.yaml, as the objects that `training.train` takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualperturb.errors import UserError
from dualperturb.files import sha256
from dualperturb.params import Params
from dualperturb.params.adversarial import AdversarialTraining, DualTraining, PgdTraining, Training
from dualperturb.params.named import NamedDual
from dualperturb.params.training import CleanTraining, DualSmoothingTraining, SmoothingTraining
from dualperturb.training.loop import Adversary, TrainingSettings
from dualperturb.training.losses import Mixture, cross_entropy

if TYPE_CHECKING:
    import numpy as np

    # Imported where they are used: clean training depends on no attack and on no saliency model.
    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.params.masks import SaliencyParams
    from dualperturb.saliency import SaliencyModel

# The number of attack steps on each image, over all epochs, from which compiling pays. Estimated, and still
# to be measured on a GPU: compiling takes tens of seconds, and shapes6 (30 steps, 1,890 passes of 1 to 2 ms)
# could not save as much; the paper's training has 1,000 steps.
COMPILED_FROM = 200

_Section = CleanTraining | SmoothingTraining | DualSmoothingTraining | AdversarialTraining


def training_settings(params: Params, dataset: str, defence: str, training: int) -> TrainingSettings:
    """Optimiser, augmentation, epochs, warm-up; training: the seed. Raises UserError for an unknown data set
    or defence."""
    section = _section(params, dataset, defence)
    clean_share = section.clean_share if isinstance(section, AdversarialTraining) else 0.0
    return TrainingSettings(
        params.of(dataset).train.optimiser,
        params.of(dataset).train.augment,
        section.epochs,
        section.warmup_epochs if isinstance(section, AdversarialTraining) else 0.0,
        training,
        params.runtime.precision,
        Mixture(clean_share) if clean_share else cross_entropy,
    )


def training_masks(
    params: Params, dataset: str, defence: str, foreground: np.ndarray, training: int
) -> np.ndarray:
    """The masks that a defence trains with, bool (N, 1, H, W): those given, or others in their place.

    training: the seed. Raises UserError for an unknown data set or defence.
    """
    section = _section(params, dataset, defence)
    chosen = section.masks if isinstance(section, NamedDual) else "own"
    if chosen == "own":
        return foreground
    from dualperturb.attacks import training_masks as masks

    return (
        masks.in_the_center(foreground)
        if chosen == "center"
        else masks.at_random_places(foreground, training)
    )


def training_adversary(
    params: Params,
    dataset: str,
    defence: str,
    norm: str | None,
    side: int,
    saliency: Callable[[SaliencyParams], SaliencyModel],
) -> Adversary | None:
    """The adversary of a defence, with the radii really applied to images of `side` pixels; None for clean.

    norm: of the budgets, for the defences that have one. saliency: makes a saliency model from its
    parameters; called only if the defence's salience_weight is above 0. Raises UserError for an unknown data
    set or defence, for a norm that the defence does not have, and for None if the defence has one.
    """
    section = _section(params, dataset, defence)
    _check_norm(params, defence, norm)
    if isinstance(section, CleanTraining):
        return None
    if isinstance(section, SmoothingTraining | DualSmoothingTraining):
        from dualperturb.attacks.smoothed import GaussianNoise

        return GaussianNoise(**section.noise)
    from dualperturb.attacks.adversary import PgdAdversary

    assert isinstance(section, AdversarialTraining)
    assert norm is not None
    threat = _threat(params, dataset, section, norm, side)
    weight = section.salience_weight if isinstance(section, DualTraining) else 0.0
    long = section.epochs * section.steps >= COMPILED_FROM
    return PgdAdversary(
        threat,
        section.steps,
        section.step_size,
        saliency(params.of(dataset).masks.model) if weight > 0 else None,
        weight,
        params.runtime.precision,
        params.runtime.compile if long else "off",
    )


def fingerprint(
    params: Params,
    dataset: str,
    defence: str,
    norm: str | None,
    training: int,
    side: int,
    data: Mapping[str, Any],
) -> str:
    """Twelve hexadecimal digits of a SHA-256 over all that the trained weights depend on, except the code.

    training: the seed. data: names or checksums of the images and masks, as JSON knows them. A file of
    initial weights enters by its content. Raises UserError for an unknown data set or defence.
    """
    section, train = _section(params, dataset, defence), params.of(dataset).train
    parts: dict[str, Any] = {
        "defence": defence,
        "seed": training,
        "precision": params.runtime.precision,
        "classifier": train.classifier.model_dump(),
        "optimiser": train.optimiser.model_dump(),
        "augment": train.augment.model_dump(),
        "training": section.model_dump(exclude={"eps", "eps_f", "eps_b"}),
        "data": data,
    }
    if isinstance(section, AdversarialTraining):
        assert norm is not None
        parts["threat"] = vars(_threat(params, dataset, section, norm, side))
    if isinstance(section, DualTraining) and section.salience_weight > 0:
        parts["saliency"] = _saliency_parts(params.of(dataset).masks.model)
    weights = Path(train.classifier.weights)
    if weights.is_file():
        parts["weights"] = sha256(weights)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _saliency_parts(model: SaliencyParams) -> str | dict[str, Any]:
    """The model's name; with options, a mapping in which a file is represented by its checksum."""
    if not model.options:
        return model.name
    options = {key: sha256(Path(v)) if Path(str(v)).is_file() else v for key, v in model.options.items()}
    return {"name": model.name, **options}


def _threat(params: Params, dataset: str, section: AdversarialTraining, norm: str, side: int) -> ThreatModel:
    from dualperturb.core.threat_model import ThreatModel

    if isinstance(section, PgdTraining):
        return ThreatModel(norm, params.radius(dataset, norm, section.eps[norm], side))
    (eps_f, eps_b), other = params.budgets(norm), None
    if isinstance(section, NamedDual):
        eps_f, eps_b, other = section.eps_f[norm], section.eps_b[norm], section.foreground_norm
    inside = params.radius(dataset, other or norm, eps_f, side)
    return ThreatModel(norm, inside, params.radius(dataset, norm, eps_b, side), other)


def _check_norm(params: Params, defence: str, norm: str | None) -> None:
    if norm not in params.trained(defence):
        accepted = ", ".join(own or "none" for own in params.trained(defence))
        raise UserError(f"norm of {defence}: found {norm or 'none'}; accepted: {accepted}")


def _section(params: Params, dataset: str, defence: str) -> Training:
    if defence not in params.defences:
        raise UserError(f"defence: found {defence!r}, accepted are {', '.join(params.defences)}")
    return params.of(dataset).train.of(defence)
