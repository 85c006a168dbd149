"""Any learned saliency model (U2-Net and the like) as an ONNX file that maps an image to a map.

Only ONNX is read, for it is data: a graph of known operators and their numbers. A pickled .pt or .pth may run
whatever its author wrote, a TorchScript archive holds a program, an exported .pt2 archive may hold pickled
objects; they are refused, so convert such a model to ONNX where you trust it. The price: onnxruntime (extra
`onnx`) gives no gradient. The model makes masks and foreground scores, but an attack with a salience_weight
above 0 needs builtin or deepgaze.

What the file must be: one input, float32 (N, 3, S, S), RGB in [0, 1] (normalisation belongs into the graph),
N free or 1; the first output is a map (N, H, W) or (N, 1, H, W) of values of at least 0, larger where it is
more salient.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.errors import UserError

WHAT = "saliency model onnx"
FLOOR = 1e-3  # added to the map, whose maximum is scaled to 1: the log of an empty pixel stays finite


class OnnxSaliency:
    """An ONNX file's map as a normalised log density.

    file: path of the .onnx file; side: pixels of the square that the graph takes. Raises UserError for a file
    of another kind, a damaged or absent one, and without the package onnxruntime.
    """

    def __init__(self, file: str, side: int = 320) -> None:
        self.side, self.session = side, _session(Path(file))
        self.input = self.session.get_inputs()[0]

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> log density (N, H, W) in float32.

        Raises UserError if a gradient with respect to the images is asked for, or if the output is no map.
        """
        if images.requires_grad and torch.is_grad_enabled():
            raise UserError(
                f"{WHAT}: an ONNX model gives masks and scores but no gradient; for a salience_weight above "
                "0 use model: builtin or deepgaze"
            )
        size = (images.shape[2], images.shape[3])
        given = F.interpolate(images.float(), (self.side, self.side), mode="bilinear", antialias=True)
        maps = torch.from_numpy(self._maps(given.cpu().numpy())).to(images.device)
        maps = F.interpolate(maps[:, None], size, mode="bilinear", antialias=True)[:, 0].clamp(min=0)
        largest = maps.amax((1, 2), keepdim=True)
        # An empty map stays empty, that is, a uniform density.
        log_map = (maps / torch.where(largest > 0, largest, 1) + FLOOR).log()
        return F.log_softmax(log_map.flatten(1), 1).reshape(log_map.shape)

    def _maps(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (N, 3, S, S) -> maps (N, h, w), float32."""
        one_by_one = self.input.shape[0] == 1
        batches = [pixels[i : i + 1] for i in range(len(pixels))] if one_by_one else [pixels]
        try:
            found = np.concatenate([self.session.run(None, {self.input.name: part})[0] for part in batches])
        except Exception as error:  # onnxruntime's errors share no public base
            raise UserError(
                f"{WHAT}: the file does not run on (N, 3, {self.side}, {self.side}): {_line(error)}"
            ) from error
        fits = found.ndim == 3 or (found.ndim == 4 and found.shape[1] == 1)
        if not fits or len(found) != len(pixels) or not np.isfinite(found).all():
            raise UserError(f"{WHAT}: found an output of shape {found.shape}, accepted is a finite (N, H, W)")
        return found.reshape(len(found), *found.shape[-2:]).astype(np.float32)


def _session(path: Path) -> Any:
    if path.suffix.lower() != ".onnx":
        raise UserError(
            f"{WHAT}: file: found {str(path)!r}, accepted is .onnx; files that may run code (.pt, .pth, "
            ".pkl, TorchScript) are refused"
        )
    if not path.is_file():
        raise UserError(f"{WHAT}: file: {path} not found")
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"{WHAT}: the package onnxruntime is missing: pip install -e '.[onnx]', or use model: builtin"
        ) from None
    try:
        # Custom operators would be code; none is ever registered here.
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base
        raise UserError(f"{WHAT}: file: {path} cannot be read as ONNX ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
