"""An ONNX file as a graph, cut down to what one of its outputs needs.

Published networks have up to a dozen outputs, and onnxruntime computes every node of a graph, whichever
outputs are asked for. Reading is done by the package `onnx`, which parses numbers and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from dualperturb.errors import UserError

EXTRA = "pip install -c constraints.txt -e"


def read_graph(path: Path, output: str | int, what: str) -> Any:
    """The file's ModelProto, cut down to the output of that name or number (from 0).

    Weights in files of their own (external data) are read from the same folder. Raises UserError, which
    begins with `what`, for a file of another kind, a damaged or absent one, an output that it does not have,
    and a missing package onnx.
    """
    if path.suffix.lower() != ".onnx":
        raise UserError(
            f"{what}: file: found {str(path)!r}, accepted is .onnx; files that may run code (.pt, .pth, "
            ".pkl, TorchScript) are refused"
        )
    if not path.is_file():
        raise UserError(f"{what}: file: {path} not found")
    try:
        import onnx
    except ImportError:
        raise UserError(
            f"{what}: the package onnx is missing: {EXTRA} '.[onnx]', or use model: builtin"
        ) from None
    try:
        model = onnx.load(str(path))
        if not model.graph.output:
            raise ValueError("it holds no graph with an output")
    except Exception as error:  # protobuf's, numpy's and onnx's errors share no public base
        raise UserError(f"{what}: file: {path} cannot be read as ONNX ({first_words(error)})") from error
    _cut(model, _output_name(model, output, what))
    return model


def first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def float32(model: Any) -> Any:
    """A copy with float32 for float16 and bfloat16 in weights, constants, outputs and Cast nodes' targets."""
    from onnx import AttributeProto, TensorProto, numpy_helper

    half = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    wide = type(model)()
    wide.CopyFrom(model)
    attributes = [(node.op_type, one) for node in wide.graph.node for one in node.attribute]
    tensors = [one.t for _, one in attributes if one.type == AttributeProto.TENSOR]
    for tensor in (*wide.graph.initializer, *tensors):
        if tensor.data_type in half:
            values = numpy_helper.to_array(tensor).astype("float32")
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for kind, one in attributes:
        if kind == "Cast" and one.name == "to" and one.i in half:
            one.i = TensorProto.FLOAT
    for value in wide.graph.output:
        if value.type.tensor_type.elem_type in half:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return wide


def _output_name(model: Any, output: str | int, what: str) -> str:
    names = [one.name for one in model.graph.output]
    if isinstance(output, int) and 0 <= output < len(names):
        return names[output]
    if output in names:
        return str(output)
    raise UserError(
        f"{what}: output: found {output!r}; accepted: a number from 0 to {len(names) - 1}, or a name (one of "
        f"digits in quotes): {', '.join(names)}"
    )


def _cut(model: Any, output: str) -> None:
    """Keep the nodes that `output` needs, each after its inputs; converters to float16 disturb that order."""
    nodes = list(model.graph.node)
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    needs = [{made_by[name] for name in _inputs(node) if name in made_by} for node in nodes]
    wanted = set[int]()
    found = [made_by[output]] if output in made_by else []
    while found:
        place = found.pop()
        if place not in wanted:
            wanted.add(place)
            found.extend(needs[place])
    order = TopologicalSorter({place: sorted(needs[place]) for place in sorted(wanted)}).static_order()
    kept = [nodes[place] for place in order]
    used = {output, *(name for node in kept for name in _inputs(node))}
    _keep(model.graph, "node", kept)
    _keep(model.graph, "output", [one for one in model.graph.output if one.name == output])
    _keep(model.graph, "initializer", [one for one in model.graph.initializer if one.name in used])
    model.graph.ClearField("value_info")  # types of intermediate values, which are inferred where needed


def _inputs(node: Any) -> Iterator[str]:
    """The names that a node reads, with those that its branches and loops read from outside."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _inputs(inner)
            yield from (one.name for one in graph.output)


def _keep(graph: Any, field: str, values: list[Any]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    graph.ClearField(field)
    getattr(graph, field).extend(copies)
