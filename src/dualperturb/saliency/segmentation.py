"""Masks from a semantic segmentation network: the paper's second way to find the foreground.

torchvision's FCN (Long, Shelhamer and Darrell, CVPR 2015), DeepLabV3 (Chen et al., arXiv 1706.05587) or
LR-ASPP, with its weights for the 20 categories of PASCAL VOC. The foreground is the pixels of the category
that belongs to the image's class, or those of the largest object.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from dualperturb.core.images import ImageSet
from dualperturb.errors import UserError
from dualperturb.params.masks import VOC, SegmentationParams
from dualperturb.saliency.weights import load_weights, normalisation

Fallback = Callable[[Tensor], Tensor]  # images (N, 3, H, W) in [0, 1] -> bool (N, 1, H, W)


class SegmentedMasks:
    """The masks of one split, segmented when a slice of them is taken: bool (n, 1, side, side).

    wanted: int64 (N,), the category of each image from 1 to 20, or None for the largest object; fallback:
    makes the masks of images without such an object. `not_found` holds the positions of such images so far.
    """

    def __init__(
        self,
        data: ImageSet,
        network: nn.Module,
        wanted: np.ndarray | None,
        side: int,
        fallback: Fallback,
        device: torch.device,
    ) -> None:
        self.data, self.network, self.wanted, self.side = data, network, wanted, side
        self.fallback, self.device = fallback, device
        self.not_found: set[int] = set()

    @torch.no_grad()
    def __getitem__(self, part: slice) -> np.ndarray:
        images = torch.from_numpy(np.array(self.data.images[part])).to(self.device).float() / 255
        wanted = None if self.wanted is None else self.wanted[part]
        masks, found = segment(images, self.network, self.side, wanted)
        missed = np.flatnonzero(~found)
        if len(missed):
            masks[missed] = self.fallback(images[torch.from_numpy(missed).to(self.device)]).cpu().numpy()
        first, _, _ = part.indices(len(self.data))
        self.not_found.update(int(first + place) for place in missed)
        return masks


def segment(
    images: Tensor, network: nn.Module, side: int, wanted: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, H, W) in [0, 1] -> masks, bool (N, 1, H, W), and found, bool (N,), False where empty.

    network: as `segmentation_network` builds it; side: the shorter side at which it sees the images. wanted:
    (N,), the category of each image, or None for the largest connected region of one category.
    """
    size = (images.shape[2], images.shape[3])
    scale = side / min(size)
    seen = (round(size[0] * scale), round(size[1] * scale))
    with torch.autocast(images.device.type, torch.float16, enabled=images.device.type == "cuda"):
        scores = network(F.interpolate(images, seen, mode="bilinear", antialias=True))["out"]
    scores = F.interpolate(scores.float(), size, mode="bilinear", antialias=True)
    categories = scores.argmax(1).cpu().numpy()
    if wanted is None:
        masks = np.stack([_largest(image) for image in categories])
    else:
        masks = categories == wanted[:, None, None]
    found = np.array([mask.any() for mask in masks])
    return masks[:, None], found


def segmentation_network(chosen: SegmentationParams) -> nn.Module:
    """The chosen network with its weights, frozen: pixels in [0, 1] -> {"out": scores (N, 21, H, W)}.

    Raises UserError if the weights cannot be had or do not fit.
    """
    import torchvision.models as zoo

    # The published weights of all but LR-ASPP hold a second head, which was used in training.
    second = {} if chosen.network.startswith("lraspp") else {"aux_loss": True}
    build: Callable[..., nn.Module] = zoo.get_model_builder(chosen.network)
    network = build(weights=None, weights_backbone=None, num_classes=1 + len(VOC), **second)
    url = zoo.get_model_weights(chosen.network).DEFAULT.url
    load_weights(network, chosen.weights, url, f"segmentation {chosen.network}")
    return nn.Sequential(normalisation(1), network).eval()


def wanted_categories(data: ImageSet, chosen: SegmentationParams, key: str) -> np.ndarray | None:
    """The VOC category of each image's class, int64 (N,), or None for the largest object.

    Raises UserError, naming `key`, for a class of the data set without a category and for an unknown class.
    """
    if not isinstance(chosen.classes, dict):
        return None
    for name in (*data.class_names, *chosen.classes):
        if name not in chosen.classes or name not in data.class_names:
            fault = "missing" if name in data.class_names else "unknown"
            known = f"each of {', '.join(data.class_names)} with a VOC category, or largest"
            raise UserError(f"{key}.classes: {fault} class {name!r}; accepted: {known}")
    by_label = np.array([1 + VOC.index(chosen.classes[name]) for name in data.class_names], dtype=np.int64)
    wanted: np.ndarray = by_label[data.labels]
    return wanted


def middle_box(images: Tensor) -> Tensor:
    """The middle half of both axes, the same for every image: bool (N, 1, H, W)."""
    height, width = images.shape[2:]
    mask = torch.zeros_like(images[:, :1], dtype=torch.bool)
    mask[:, :, height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def _largest(categories: np.ndarray) -> np.ndarray:
    """The largest connected region of one category other than the background: (H, W) -> bool (H, W)."""
    best: np.ndarray = np.zeros(categories.shape, dtype=np.bool_)
    for category in np.unique(categories[categories > 0]):
        regions, count = ndimage.label(categories == category)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        if sizes.max() > best.sum():
            best = regions == 1 + sizes.argmax()
    return best
