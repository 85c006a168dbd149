"""Tiny ONNX files, with the faults of published ones. Import it behind pytest.importorskip("onnx")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
SIDE = 16
SHAPE = ("n", 3, SIDE, SIDE)
node = helper.make_node


def write(
    path: Path,
    nodes: Sequence[Any],
    outputs: Sequence[str] = ("map",),
    shape: Sequence[str | int] = SHAPE,
    weights: dict[str, np.ndarray] | None = None,
    kind: int = FLOAT,
    inputs: Sequence[str] = ("image",),
    **options: Any,
) -> Path:
    """A file at `path`; all inputs have that shape and kind, all outputs are float32 of free shape."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in (weights or {}).items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path, **options)
    return path


def red_channel(path: Path, weight: float = 1.0, **options: Any) -> Path:
    """The map is `weight` times the red channel, by a convolution."""
    kernel = np.array([weight, 0, 0], dtype=np.float32).reshape(1, 3, 1, 1)
    return write(path, [node("Conv", ["image", "w"], ["map"])], weights={"w": kernel}, **options)


def half_precision(path: Path) -> Path:
    """The red channel's sigmoid in float16, its Cast nodes at the end, as converters leave them."""
    nodes = [
        node("Conv", ["half", "w"], ["logits"]),
        node("Sigmoid", ["logits"], ["half_map"]),
        node("Cast", ["image"], ["half"], to=HALF),
        node("Cast", ["half_map"], ["map"], to=FLOAT),
    ]
    kernel = np.array([4, 0, 0], dtype=np.float16).reshape(1, 3, 1, 1)
    return write(path, nodes, weights={"w": kernel}, shape=(1, 3, SIDE, SIDE))
