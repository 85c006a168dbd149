"""Attacks of other libraries on plain threat models: standard AutoAttack, and Carlini and Wagner's in L2.

The libraries come with the extra `strong`. AutoAttack is taken from pyautoattack, the original code as a
package: it left as many images standing as the version of adversarial-robustness-toolbox in a quarter of the
time, and torchattacks' version stops at 10 steps. Carlini and Wagner's attack is taken from foolbox, which
searches for the attack's constant as their paper does; torchattacks holds the constant fixed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dualperturb.core.devices.memory import BatchSize
from dualperturb.core.gradient_copy import GradientCopy
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.scoring import measure
from dualperturb.evaluation.measuring.subject import Batch, Subject

FEWEST_OTHERS = 3  # other classes, which the targeted DLR loss needs


def standard_auto_attack(
    subject: Subject, threat: ThreatModel, seed: int, square_queries: int = 5000
) -> np.ndarray:
    """AutoAttack's standard version (Croce & Hein 2020) in a plain threat model, on the subject's images.

    Returns bool (n,): whether an image is still classified rightly. Targets at most as many other classes as
    there are; with fewer than four classes, which its loss needs, targeted APGD is left out. With fewer than
    5000 queries of Square the attack is weaker than the standard version where Square matters. All images are
    one batch; once memory has run out, the smaller batches draw other random numbers. Raises UserError for a
    threat model of two regions, and without pyautoattack; and what `scoring.measure` raises.
    """
    if threat.eps_b is not None:
        raise UserError("AutoAttack: found a threat model of two regions; accepted: one, see auto_attack")
    try:
        from pyautoattack import AutoAttack
    except ImportError:
        raise _missing("AutoAttack", "pyautoattack") from None
    others = min(9, len(subject.data.class_names) - 1)

    def still_right(batch: Batch) -> np.ndarray:
        chosen, images, labels, foreground = batch
        # AutoAttack seeds torch's global generators.
        with torch.random.fork_rng(devices=[subject.device] if subject.device.type == "cuda" else []):
            attack = AutoAttack(
                GradientCopy(subject.model, images[:1], "fp32"),
                norm=threat.norm,
                eps=threat.eps_f,
                seed=seed,
                device=subject.device,
            )
            attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = others
            attack.square.n_queries = square_queries
            if others < FEWEST_OTHERS:
                attack.attacks_to_run.remove("apgd-t")
            examples, _ = attack.run_standard_evaluation(images, labels, batch_size=len(images))
        return measure(subject, chosen, images, examples, labels, foreground, threat)["correct"].to_numpy()

    return np.concatenate(subject.each(len(subject.indices), still_right))


def carlini_wagner_norms(subject: Subject, batch_size: BatchSize, steps: int, searches: int) -> np.ndarray:
    """The L2 norm of the smallest perturbation that Carlini & Wagner 2017 find, for each image.

    float64 (n,), pixels in [0, 1]: 0 for an image that is misclassified as it is, infinity where none is
    found. searches: of its binary search for the attack's constant, each of at most so many steps. One run
    gives the accuracy at every budget. The library ends a search early for a batch as a whole,
    so that norms depend somewhat on the batch's size. Raises UserError without foolbox.
    """
    try:
        from foolbox import PyTorchModel
        from foolbox.attacks import L2CarliniWagnerAttack
    except ImportError:
        raise _missing("Carlini and Wagner's attack", "foolbox") from None
    sample = next(subject.batches(1))[1]
    model = PyTorchModel(GradientCopy(subject.model, sample, "fp32"), bounds=(0, 1), device=subject.device)
    attack = L2CarliniWagnerAttack(binary_search_steps=searches, steps=steps, initial_const=1.0)

    def norms_of(batch: Batch) -> np.ndarray:
        _, images, labels, _ = batch
        _, examples, _ = attack(model, images, labels, epsilons=None)
        examples = examples.clamp(0, 1)
        right = _still_right(subject, examples, labels)
        norms = (examples - images).double().flatten(1).norm(dim=1).cpu().numpy()
        already = ~_still_right(subject, images, labels)
        return np.where(already, 0.0, np.where(right, np.inf, norms))

    return np.concatenate(subject.each(batch_size, norms_of))


@torch.no_grad()
def _still_right(subject: Subject, images: Tensor, labels: Tensor) -> np.ndarray:
    right: np.ndarray = (subject.logits(images).argmax(dim=1) == labels).cpu().numpy()
    return right


def _missing(attack: str, package: str) -> UserError:
    return UserError(f"{attack}: the package {package} is missing: pip install -e '.[strong]'")
