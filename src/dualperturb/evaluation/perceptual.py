"""Perceptual distances between images and adversarial examples.

They come from torchmetrics (extra `perceptual`): structural dissimilarity, which needs no weights,
and LPIPS, whose linear heads come with the package and whose AlexNet is a file that the caller provides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dualperturb.core.classifiers.state_dicts import read_state_dict
from dualperturb.errors import UserError

# Two batches (n, 3, H, W) in [0, 1] -> (n,), 0 where they agree.
Distance = Callable[[Tensor, Tensor], Tensor]

# Fewest pixels per side: the size of SSIM's window, and the least side that survives AlexNet's pooling.
SMALLEST_SSIM, SMALLEST_LPIPS = 11, 31


@torch.no_grad()
def perceptual_distance(
    images: Tensor, adversarial: Tensor, foreground: Tensor, distance: Distance | None = None
) -> pd.DataFrame:
    """One row per image: whole, the example's distance; foreground, that with the image's background.

    images, adversarial: float (n, 3, H, W) in [0, 1]; foreground: bool (n, 1, H, W); distance: by default
    `ssim_distance`. Both columns are taken over the whole area, so that they can be compared: the
    difference is the background's part. Raises UserError if the shapes do not fit, and what `distance`
    raises.
    """
    count, _, height, width = images.shape
    if adversarial.shape != images.shape or foreground.shape != (count, 1, height, width):
        raise UserError(
            f"perceptual distance: found images {tuple(images.shape)}, examples {tuple(adversarial.shape)} "
            f"and masks {tuple(foreground.shape)}; accepted are (n, 3, H, W) twice and (n, 1, H, W)"
        )
    distance = distance or ssim_distance
    inside = torch.where(foreground, adversarial, images)
    return pd.DataFrame(
        {
            "whole": distance(images, adversarial).cpu().numpy(),
            "foreground": distance(images, inside).cpu().numpy(),
        }
    )


def ssim_distance(first: Tensor, second: Tensor) -> Tensor:
    """1 - SSIM (Wang et al. 2004; Gaussian window of 11 pixels, sigma 1.5, mean over channels): (n,) from 0.

    The image is mirrored at its borders and every pixel counts. Libraries that leave out the windows which
    overlap the border, such as scikit-image and piq, see 22x22 pixels of 32x32 and little of a background.
    Raises UserError without torchmetrics, and for images smaller than the window.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError:
        raise _missing() from None
    _check_side(first, SMALLEST_SSIM, "SSIM")
    wide = second.double(), first.double()  # in float32 the differences of squares lose the third digit
    similarity = structural_similarity_index_measure(*wide, data_range=1.0, reduction="none")
    assert isinstance(similarity, Tensor)
    return 1 - similarity.reshape(len(first))  # for a single image the result has no batch axis


def lpips_distance(weights: Path, device: torch.device | None = None) -> Distance:
    """LPIPS (Zhang et al. 2018; version 0.1, AlexNet): a distance for `perceptual_distance`.

    weights: torchvision's AlexNet, ImageNet weights (.pth or .safetensors), of which the convolutions are
    used; nothing is downloaded. Raises UserError without torchmetrics, if the file does not fit, and, when
    called, for images of fewer than 31 pixels a side.
    """
    try:
        # torchmetrics' public class will not do: it fetches AlexNet itself and takes no file.
        from torchmetrics.functional.image.lpips import _LPIPS
    except ImportError:
        raise _missing() from None
    with torch.random.fork_rng(devices=[]):  # it starts from random convolutions, which are replaced below
        network = _LPIPS(net="alex", pnet_rand=True).requires_grad_(False).eval()
    state = read_state_dict(weights, "lpips weights", "a file of torchvision's AlexNet")
    own = network.net.state_dict()  # slice1.0.weight is torchvision's features.0.weight
    source = {name: "features." + name.split(".", 1)[1] for name in own}
    for name, torchvisions in source.items():
        if torchvisions not in state or state[torchvisions].shape != own[name].shape:
            raise UserError(
                f"lpips weights: {weights} does not fit AlexNet: {torchvisions} is absent or of another shape"
            )
    network.net.load_state_dict({name: state[torchvisions] for name, torchvisions in source.items()})
    network = network.to(device)

    def distance(first: Tensor, second: Tensor) -> Tensor:
        _check_side(first, SMALLEST_LPIPS, "LPIPS")
        values: Tensor = network(second, first, normalize=True)
        return values.reshape(len(first))

    return distance


def _check_side(images: Tensor, smallest: int, what: str) -> None:
    side = min(images.shape[2:])
    if side < smallest:
        raise UserError(f"perceptual distance: {what} needs at least {smallest} pixels a side, found {side}")


def _missing() -> UserError:
    return UserError(
        "perceptual distance: the package torchmetrics is missing: pip install -e '.[perceptual]'"
    )
