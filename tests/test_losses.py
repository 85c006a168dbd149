from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dualperturb.params import load_params
from dualperturb.params.whole import Params
from dualperturb.training.losses import Mixture, cross_entropy
from dualperturb.training.settings import training_settings

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_mixture_weighs_both_losses_and_counts_by_the_adversarial_images(share: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    clean, images = torch.rand(2, 5, 3, 2, 2)
    labels = torch.arange(5) % 3
    loss, logits = Mixture(share)(model, images, clean, labels)
    on_clean, on_attacked = (cross_entropy(model, seen, clean, labels)[0] for seen in (clean, images))
    assert on_clean != on_attacked
    torch.testing.assert_close(loss, share * on_clean + (1 - share) * on_attacked)
    torch.testing.assert_close(logits, model(images))


def test_both_kinds_of_images_are_one_batch_to_batch_norm() -> None:
    norm = nn.BatchNorm2d(3)
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(12, 2)).train()
    clean, images = torch.zeros(4, 3, 2, 2), torch.ones(4, 3, 2, 2)
    Mixture(0.5)(model, images, clean, torch.zeros(4, dtype=torch.int64))
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, torch.full((3,), 0.1 * 0.5))


def test_a_defence_with_a_clean_share_descends_a_mixture() -> None:
    raw = load_params(PARAMS).model_dump()
    raw["shapes6"]["train"]["at_dual"]["clean_share"] = 0.3
    settings = Params.model_validate(raw)
    assert training_settings(settings, "shapes6", "at_dual", 0).loss == Mixture(0.3)
    assert training_settings(settings, "shapes6", "at_pgd", 0).loss is cross_entropy
    assert training_settings(settings, "shapes6", "clean", 0).loss is cross_entropy
