"""Any learned saliency model (ISNet, U-2-Net and the like) in an ONNX file that turns an image into a map.

Only ONNX is read, as it is data: a graph of known operators and their numbers. A pickled .pt or .pth may run
whatever its author wrote, a TorchScript archive holds a program, an exported .pt2 archive may hold pickled
objects; they are refused, so convert such a model to ONNX if you trust it.

onnxruntime runs the graph on the CPU, which is enough for masks and foreground scores but gives no gradient.
With `gradient` the graph becomes a PyTorch module on the classifier's device, so that attacks can use its
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.errors import UserError
from dualperturb.saliency.onnx_graph import EXTRA, first_words, read_graph

WHAT = "saliency model onnx"
FLOOR = 1e-3  # added to the map, whose maximum is scaled to 1: the log of an empty pixel stays finite
SIDE = 320  # used where neither the options nor the file name a side
SCORES = ("map", "logits", "log_density")


class OnnxSaliency(nn.Module):
    """One output of an ONNX file as a normalised log density.

    file: path of the .onnx file, with one input, float32 (N or 1, 3, S, S), RGB. side: S in pixels; if left
    out, the file's own, or 320 where the file leaves it free. mean, std: one number or three (red, green,
    blue); the graph's input is (pixels in [0, 1] - mean) / std. output: its name, or its number from 0, shape
    (N, H, W) or (N, 1, H, W); nodes that it does not need are not computed. gradient: convert the graph to
    PyTorch, and check at once that both agree on an image.

    scores: what the output means.
    - "map": values of at least 0, larger where the image is more salient, on any scale. Negative ones count
      as 0, an image's largest is scaled to 1, and the density is proportional to the scaled value + 0.001.
    - "logits": such a map before its sigmoid, which is applied; then as "map".
    - "log_density": log of a density up to a constant; it is only normalised.

    Raises UserError for a file of another kind, a damaged or absent one, options that do not fit it, and
    missing packages.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        file: str,
        side: int | None = None,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        output: str | int = 0,
        scores: str = "map",
        gradient: bool = False,
    ) -> None:
        super().__init__()
        if scores not in SCORES:
            raise UserError(f"{WHAT}: scores: found {scores!r}; accepted: {', '.join(SCORES)}")
        self.scores = scores
        self.register_buffer("mean", _channels("mean", mean), persistent=False)
        self.register_buffer("std", _channels("std", std), persistent=False)
        graph = read_graph(Path(file), output, WHAT)
        run, shape = _session(graph, file)
        self.side = _side(shape, side)
        self.network: Callable[[Tensor], Tensor] = run
        if gradient:
            from dualperturb.saliency.onnx_gradient import ConvertedGraph, check_agreement, disc

            self.network = ConvertedGraph(graph, WHAT)
            check_agreement(self.network, run, (disc(self.side) - self.mean) / self.std, WHAT)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> log density (N, H, W) in float32.

        Raises UserError if a gradient with respect to the images is asked for and `gradient` is false, or if
        the output is no map.
        """
        if images.requires_grad and torch.is_grad_enabled() and not isinstance(self.network, nn.Module):
            raise UserError(
                f"{WHAT}: an ONNX model gives masks and scores but no gradient; for a salience_weight above "
                "0 set its option gradient: true, or use model: builtin or deepgaze"
            )
        given = F.interpolate(images.float(), (self.side, self.side), mode="bilinear", antialias=True)
        maps = _maps(self.network((given - self.mean) / self.std), len(images))
        if self.scores == "logits":
            maps = maps.sigmoid()
        size = (images.shape[2], images.shape[3])
        maps = F.interpolate(maps[:, None], size, mode="bilinear", antialias=True)[:, 0]
        log_map = maps if self.scores == "log_density" else _log(maps)
        return F.log_softmax(log_map.flatten(1), 1).reshape(log_map.shape)


def _log(maps: Tensor) -> Tensor:
    maps = maps.clamp(min=0)
    largest = maps.amax((1, 2), keepdim=True)
    # An empty map stays empty, that is, a uniform density.
    return (maps / torch.where(largest > 0, largest, 1) + FLOOR).log()


def _maps(found: Tensor, count: int) -> Tensor:
    """The network's output for `count` images as maps (N, h, w) in float32."""
    fits = found.ndim == 3 or (found.ndim == 4 and found.shape[1] == 1)
    if not fits or len(found) != count:
        raise UserError(
            f"{WHAT}: output: found {tuple(found.shape)} for {count} images; accepted: (N, H, W) or "
            "(N, 1, H, W); choose another with the option output"
        )
    if not found.isfinite().all():
        raise UserError(f"{WHAT}: output: found values that are not finite; accepted: finite ones")
    return found.reshape(count, *found.shape[-2:]).float()


def _session(graph: Any, file: str) -> tuple[Callable[[Tensor], Tensor], Sequence[Any]]:
    """A function that runs the graph image by image, pixels (N, 3, S, S) -> output; and its input's shape."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"{WHAT}: the package onnxruntime is missing: {EXTRA} '.[onnx]', or use model: builtin"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # its default is all cores
    options.log_severity_level = 3
    try:
        # Custom operators would be code; none is ever registered here.
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no public base
        raise UserError(f"{WHAT}: file: {file} cannot be read as ONNX ({first_words(error)})") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in inputs)
        raise UserError(f"{WHAT}: file: found the inputs {found}; accepted: one, float32 (N, 3, S, S)")

    def run(pixels: Tensor) -> Tensor:
        try:
            found = [session.run(None, {inputs[0].name: one.numpy()})[0] for one in pixels.cpu().split(1)]
        except Exception as error:  # as above
            shape = (1, *pixels.shape[1:])
            raise UserError(f"{WHAT}: the file does not run on {shape}: {first_words(error)}") from error
        return torch.cat([torch.from_numpy(one) for one in found]).to(pixels.device)

    return run, inputs[0].shape


def _side(shape: Sequence[Any], asked: int | None) -> int:
    """The side at which the graph sees images; a free axis of its input is a name or None."""
    fixed = {axis for axis in shape[2:] if isinstance(axis, int)}
    wrong = [
        axis for axis, right in zip(shape, (1, 3), strict=False) if isinstance(axis, int) and axis != right
    ]
    if len(shape) != 4 or wrong or len(fixed) > 1:
        layout = "; this one holds its channels last" if shape[-1:] == [3] else ""
        raise UserError(
            f"{WHAT}: file: found an input of shape {shape}; accepted: (N, 3, S, S), N free or 1{layout}"
        )
    own = fixed.pop() if fixed else None
    if asked and own and asked != own:
        raise UserError(f"{WHAT}: side: found {asked}; accepted: {own}, the file's own (or leave it out)")
    return own or asked or SIDE


def _channels(key: str, values: float | Sequence[float]) -> Tensor:
    numbers = torch.tensor(values, dtype=torch.float32).flatten()
    if len(numbers) not in (1, 3) or not numbers.isfinite().all() or (key == "std" and (numbers <= 0).any()):
        above = " above 0" if key == "std" else ""
        raise UserError(f"{WHAT}: {key}: found {values!r}; accepted: a finite number{above}, or three")
    return numbers.reshape(-1, 1, 1)
