"""Masks from a segmentation network: which pixels, which images have none, and the network itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.models as zoo
from torch import Tensor, nn

from dualperturb.core.images import ImageSet
from dualperturb.errors import UserError
from dualperturb.params.masks import VOC, SegmentationParams
from dualperturb.saliency.segmentation import (
    SegmentedMasks,
    middle_box,
    segment,
    segmentation_network,
    wanted_categories,
)

SIDE = 16
CPU = torch.device("cpu")
DOG, PERSON = 1 + VOC.index("dog"), 1 + VOC.index("person")


class ByColour(nn.Module):
    """Red pixels are a dog, green ones a person, others background."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        self.seen = images.shape
        scores = torch.zeros(len(images), 1 + len(VOC), *images.shape[2:])
        scores[:, 0] = 0.5
        scores[:, DOG], scores[:, PERSON] = images[:, 0], images[:, 1]
        return {"out": scores}


class Convolution(nn.Module):
    """Keeps the type that it computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 1 + len(VOC), 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        scores = self.inner(images)
        self.dtype = scores.dtype
        return {"out": scores}


def pictures() -> np.ndarray:
    """A dog of 4x4 pixels with a person of 6x6; two dogs; nothing."""
    images = np.zeros((3, 3, SIDE, SIDE), dtype=np.uint8)
    images[0, 0, 0:4, 0:4] = images[0, 1, 8:14, 8:14] = 255
    images[1, 0, 2:4, 2:4] = images[1, 0, 8:13, 8:13] = 255
    return images


def image_set() -> ImageSet:
    return ImageSet(pictures(), np.array([0, 1, 0]), ("puppy", "man"))


def tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).float() / 255


def test_pixels_of_the_wanted_category() -> None:
    masks, found = segment(tensor(pictures()), ByColour(), SIDE, np.array([DOG, PERSON, DOG]))
    assert masks.shape == (3, 1, SIDE, SIDE) and masks.dtype == np.bool_
    assert np.array_equal(masks[0, 0], pictures()[0, 0] > 0)
    assert not masks[1].any() and found.tolist() == [True, False, False]


def test_the_largest_object_is_one_connected_region() -> None:
    masks, found = segment(tensor(pictures()), ByColour(), SIDE, None)
    assert np.array_equal(masks[0, 0], pictures()[0, 1] > 0)
    assert masks[1].sum() == 25 and masks[1, 0, 8:13, 8:13].all()
    assert found.tolist() == [True, True, False]
    swapped, _ = segment(tensor(pictures()[:, [1, 0, 2]]), ByColour(), SIDE, None)
    assert np.array_equal(swapped, masks)


def test_the_network_sees_the_stated_side() -> None:
    network = ByColour()
    masks, _ = segment(torch.rand(2, 3, 20, 30), network, 40, None)
    assert network.seen == (2, 3, 40, 60) and masks.shape == (2, 1, 20, 30)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_network_runs_in_half_precision_on_a_gpu_only(device: str) -> None:
    if not getattr(torch, device).is_available():
        pytest.skip("no GPU")
    network = Convolution().to(device)
    segment(torch.rand(1, 3, SIDE, SIDE, device=device), network, SIDE, None)
    assert network.dtype == (torch.float16 if device == "cuda" else torch.float32)


def test_images_without_the_object_get_the_fallback_and_are_counted() -> None:
    data = image_set()
    masks = SegmentedMasks(data, ByColour(), np.array([DOG, PERSON, DOG]), SIDE, middle_box, CPU)
    first, rest = masks[slice(0, 1)], masks[slice(1, 3)]
    assert masks.not_found == {1, 2}
    assert np.array_equal(first[0, 0], pictures()[0, 0] > 0)
    box = np.zeros((SIDE, SIDE), dtype=np.bool_)
    box[4:12, 4:12] = True
    assert np.array_equal(rest[:, 0], np.stack([box, box]))


def test_the_fallback_gets_the_images_that_have_no_object() -> None:
    given: list[Tensor] = []

    def fallback(images: Tensor) -> Tensor:
        given.append(images)
        return middle_box(images)

    data = image_set()
    SegmentedMasks(data, ByColour(), None, SIDE, fallback, CPU)[slice(0, 3)]
    assert len(given) == 1 and torch.equal(given[0], tensor(pictures())[2:])


def test_categories_by_class() -> None:
    data = image_set()
    chosen = SegmentationParams(classes={"man": "person", "puppy": "dog"})
    wanted = wanted_categories(data, chosen, "masks.x.segmentation")
    assert wanted is not None and wanted.tolist() == [DOG, PERSON, DOG]
    assert wanted_categories(data, SegmentationParams(), "key") is None


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        ({"man": "person"}, "masks.x.segmentation.classes: missing class 'puppy'"),
        (
            {"man": "person", "puppy": "dog", "cat": "cat"},
            "masks.x.segmentation.classes: unknown class 'cat'",
        ),
    ],
)
def test_a_map_that_is_not_of_the_classes_is_one_line(classes: dict[str, str], line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}; accepted: each of puppy, man"):
        wanted_categories(image_set(), SegmentationParams(classes=classes), "masks.x.segmentation")


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_networks_with_weights_from_a_file(tmp_path: Path, name: str) -> None:
    second = {} if name.startswith("lraspp") else {"aux_loss": True}
    torch.manual_seed(0)
    own = zoo.get_model_builder(name)(weights=None, weights_backbone=None, num_classes=21, **second)
    torch.save(own.state_dict(), tmp_path / "weights.pth")
    chosen = SegmentationParams.model_validate({"network": name, "weights": str(tmp_path / "weights.pth")})
    network = segmentation_network(chosen)
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    masks, _ = segment(torch.rand(1, 3, 32, 32), network, 64, None)
    assert masks.shape == (1, 1, 32, 32)
    (tmp_path / "weights.pth").write_bytes(b"hello")
    with pytest.raises(UserError, match=rf"^segmentation {name}: weights: .*holds no plain state dict"):
        segmentation_network(chosen)


def test_a_networks_pixels_are_normalised(tmp_path: Path) -> None:
    chosen = SegmentationParams(network="lraspp_mobilenet_v3_large", weights=str(tmp_path / "w.pth"))
    own = zoo.get_model_builder(chosen.network)(weights=None, weights_backbone=None, num_classes=21)
    torch.save(own.state_dict(), tmp_path / "w.pth")
    image = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = own.eval()((image - mean) / std)["out"]
        assert torch.allclose(segmentation_network(chosen)(image)["out"], expected, atol=1e-4)
