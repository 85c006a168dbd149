"""What the learned models' networks see of an image."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import Normalize

from dualperturb.saliency.weights import normalisation


@pytest.mark.parametrize("largest", [1, 255])
def test_pixels_are_normalised_bit_for_bit_as_by_torchvision(largest: int) -> None:
    layer = normalisation(largest)
    expected = Normalize(
        [largest * mean for mean in (0.485, 0.456, 0.406)], [largest * std for std in (0.229, 0.224, 0.225)]
    )
    images = largest * torch.rand((3, 3, 20, 24), generator=torch.Generator().manual_seed(0))
    before = images.clone().requires_grad_()
    images.requires_grad_()
    found, wanted = layer(images), expected(before)
    assert torch.equal(found, wanted) and torch.equal(images, before)
    ways = [
        torch.autograd.grad(values.square().sum(), at)[0]
        for values, at in ((found, images), (wanted, before))
    ]
    assert torch.equal(*ways)


def test_it_follows_the_network_and_has_no_entry_in_its_state_dict() -> None:
    layer = normalisation(1)
    assert not layer.state_dict() and not list(layer.parameters())
    assert layer.to("meta")(torch.zeros(1, 3, 4, 4, device="meta")).device.type == "meta"
