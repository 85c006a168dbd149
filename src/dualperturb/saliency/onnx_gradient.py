"""An ONNX graph as a PyTorch module, made by onnx2torch so that attacks can use its gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dualperturb.errors import UserError
from dualperturb.saliency.onnx_graph import EXTRA, first_words, float32

AGREEMENT = 0.02  # share of the output's range; ISNet's in float16 and in float32 differ by less than 0.001


class ConvertedGraph(nn.Module):
    """The graph, frozen and in float32: pixels (N, 3, S, S) as the graph wants them -> its output.

    Images pass one by one, and each is computed again in the backward pass, so that only the activations of
    one image are held, whatever the batch. model: a ModelProto with one output. Raises UserError, which
    begins with `what`, if the package onnx2torch is missing or cannot convert the graph.
    """

    def __init__(self, model: Any, what: str) -> None:
        super().__init__()
        try:
            from onnx2torch import convert
        except ImportError:
            raise UserError(
                f"{what}: gradient: the package onnx2torch is missing: {EXTRA} '.[onnx-gradient]'"
            ) from None
        # onnx2torch's Slice indexes with a list, of which torch warns; agreement with onnxruntime is checked.
        warnings.filterwarnings("ignore", "Using a non-tuple sequence", module=r"onnx2torch\.")
        try:
            # CPUs lack many operations in float16.
            self.network: nn.Module = convert(float32(model))
        except Exception as error:  # the converter raises whatever its parts raise
            raise UserError(
                f"{what}: gradient: onnx2torch cannot convert the graph ({type(error).__name__}: "
                f"{first_words(error)}); accepted: float32 or float16, not quantised, no branches or loops"
            ) from error
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> ConvertedGraph:
        """The network stays in eval mode: its statistics are part of the published model."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([self._one(image) for image in pixels.split(1)])

    def _one(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            if not (image.requires_grad and torch.is_grad_enabled()):
                return self.network(image)
            found: Tensor = checkpoint(self.network, image, use_reentrant=False, preserve_rng_state=False)
            return found


def check_agreement(
    network: ConvertedGraph, reference: Callable[[Tensor], Tensor], pixels: Tensor, what: str
) -> None:
    """Raise UserError unless the network's output agrees with the reference's and has a gradient."""
    expected = reference(pixels)
    try:
        found = network(pixels.clone().requires_grad_())
    except Exception as error:  # whatever the converted operations raise
        raise UserError(
            f"{what}: gradient: the graph that onnx2torch made does not run ({first_words(error)})"
        ) from error
    if not found.requires_grad:
        raise UserError(f"{what}: gradient: found an output that does not depend smoothly on pixels")
    same_shape = found.shape == expected.shape
    apart = float((found.detach() - expected).abs().max()) if same_shape else float("inf")
    largest = AGREEMENT * max(float(expected.max() - expected.min()), 1e-3 * float(expected.abs().max()))
    if not apart <= largest:
        raise UserError(
            f"{what}: gradient: onnx2torch's graph differs from the file's by {apart:.2g}, accepted "
            f"is up to {largest:.2g}; without gradient the file can be used"
        )


def disc(side: int) -> Tensor:
    """A warm disc on a cool ground, (1, 3, S, S) in [0, 1]: it stands out to every such model."""
    place = torch.linspace(-1, 1, side)
    inside = torch.sigmoid(30 * (0.5 - torch.hypot(place[:, None], place[None, :])))[:, :, None]
    ground, warm = torch.tensor([0.2, 0.3, 0.6]), torch.tensor([0.9, 0.5, 0.1])
    return (ground + inside * (warm - ground)).permute(2, 0, 1)[None]
