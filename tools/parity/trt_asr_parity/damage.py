"""Breaks an exported folder on purpose: a ladder that lets one of these pass proves nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .errors import ParityError

# What the exporter adds to a score that must not be seen; a mask that adds less hides less.
MASK_BELOW = -1000.0


@dataclass(frozen=True)
class Damage:
    """`stage` is where the ladder has to notice it."""

    name: str
    stage: str
    apply: Callable[[Path], None]


def _edit(path: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)


def _weights(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Initializers that are matrices of float32, in the order of the graph."""
    return [one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) == 2]


def _replace(tensor: onnx.TensorProto, array: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _one_weight(graph: onnx.GraphProto) -> None:
    """One element of one matrix moves by as much as the matrix's largest element."""
    found = _weights(graph)
    if not found:
        raise ParityError("damage", "a matrix among the weights", "none", "Adapt damage.py to the new graph.")
    tensor = found[len(found) // 2]
    array = numpy_helper.to_array(tensor).copy()
    array[array.shape[0] // 2, array.shape[1] // 2] += np.abs(array).max()
    _replace(tensor, array)


def _constants(graph: onnx.GraphProto):
    """Every constant tensor: initializers and Constant nodes."""
    yield from graph.initializer
    for node in graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute if attribute.name == "value")


def _open_mask(graph: onnx.GraphProto) -> None:
    """Attention sees the padding: what is added to a hidden score becomes 0."""
    opened = 0
    for tensor in _constants(graph):
        if tensor.data_type != onnx.TensorProto.FLOAT or int(np.prod(tensor.dims)) != 1:
            continue
        if numpy_helper.to_array(tensor).item() <= MASK_BELOW:
            _replace(tensor, np.zeros(list(tensor.dims), np.float32))
            opened += 1
    if not opened:
        raise ParityError("damage", f"a constant of at most {MASK_BELOW}", "none", "Adapt damage.py to the new graph.")


def _late_length(graph: onnx.GraphProto) -> None:
    """encoded_lengths is one too many."""
    name = next(out.name for out in graph.output if out.type.tensor_type.elem_type == onnx.TensorProto.INT64)
    for node in graph.node:
        node.output[:] = ["length_before" if one == name else one for one in node.output]
        node.input[:] = ["length_before" if one == name else one for one in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one_more"))
    graph.node.append(helper.make_node("Add", ["length_before", "one_more"], [name]))


def _twins_of(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """Copies of the nodes that lead to `output`; only it keeps its name."""
    needed, found = {output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            found.insert(0, node)
    renamed = {name: name if name == output else f"{name}_twin" for node in found for name in node.output}
    twins = []
    for node in found:
        twin = onnx.NodeProto()
        twin.CopyFrom(node)
        twin.name = f"{node.name}_twin"
        twin.input[:] = [renamed.get(name, name) for name in node.input]
        twin.output[:] = [renamed[name] for name in node.output]
        twins.append(twin)
    return twins


def _ignore_lengths(graph: onnx.GraphProto) -> None:
    """Every row is taken for as long as the tensor; encoded_lengths still follows the lengths, so that only the frames tell."""
    features, lengths = graph.input[0].name, graph.input[1].name
    told = next(out.name for out in graph.output if out.type.tensor_type.elem_type == onnx.TensorProto.INT64)
    twins, others = _twins_of(graph, told), {lengths: "whole_lengths", told: "lengths_unheard"}
    for node in graph.node:
        node.input[:] = [others.get(name, name) for name in node.input]
        node.output[:] = [others.get(name, name) for name in node.output]
    for name, value in (("time_axis", 2), ("nothing", 0)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    head = [
        helper.make_node("Shape", [features], ["features_shape"]),
        helper.make_node("Gather", ["features_shape", "time_axis"], ["features_frames"]),
        helper.make_node("Mul", [lengths, "nothing"], ["lengths_zeroed"]),
        helper.make_node("Add", ["lengths_zeroed", "features_frames"], ["whole_lengths"]),
    ]
    nodes = [*head, *graph.node, *twins]
    del graph.node[:]
    graph.node.extend(nodes)


def _swap_states(graph: onnx.GraphProto) -> None:
    """The predictor's h comes out as its c."""
    names = {"next_state_h": "next_state_c", "next_state_c": "next_state_h"}
    for node in graph.node:
        node.output[:] = [names.get(one, one) for one in node.output]


def _logit_bias(graph: onnx.GraphProto, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """The joint's last bias: the longest vector of the graph."""
    vectors = [one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) == 1]
    tensor = max(vectors, key=lambda one: one.dims[0])
    _replace(tensor, change(numpy_helper.to_array(tensor).copy()))


def _nan(bias: np.ndarray) -> np.ndarray:
    bias[len(bias) // 2] = np.nan
    return bias


def _roll_durations(bias: np.ndarray) -> np.ndarray:
    bias[-5:] = np.roll(bias[-5:], 1)
    return bias


def _other_rule(folder: Path) -> None:
    """The contract lists the durations backwards: no graph is wrong, and every token is."""
    path = folder / "contract.json"
    contract = json.loads(path.read_text(encoding="utf-8"))
    contract["decode"]["durations"].reverse()
    path.write_text(json.dumps(contract), encoding="utf-8")


def _on(part: str, change: Callable[[onnx.GraphProto], None]) -> Callable[[Path], None]:
    """The damage of the graph that the contract names for `part`."""

    def apply(folder: Path) -> None:
        contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        _edit(folder / contract[part]["file"], change)

    return apply


TDT = (
    Damage("one weight of the encoder", "encoder", _on("encoder", _one_weight)),
    Damage("attention sees the padding", "encoder", _on("encoder", _open_mask)),
    Damage("lengths one too many", "encoder", _on("encoder", _late_length)),
    Damage("predictor states swapped", "predictor", _on("predictor", _swap_states)),
    Damage("a NaN in the joint", "joint", _on("joint", lambda graph: _logit_bias(graph, _nan))),
    Damage("durations' biases rolled", "joint", _on("joint", lambda graph: _logit_bias(graph, _roll_durations))),
    Damage("durations listed backwards", "decode", _other_rule),
    Damage("a streaming graph that ignores its lengths", "streaming", _on("streaming", _ignore_lengths)),
)
STREAMING = (
    Damage("one weight of the streaming graph", "streaming", _on("streaming", _one_weight)),
    Damage("streaming attention sees what is not cached", "streaming", _on("streaming", _open_mask)),
    Damage("a streaming graph that ignores its lengths", "streaming", _on("streaming", _ignore_lengths)),
    Damage("a closed loop that ignores its lengths", "closed-loop", _on("streaming", _ignore_lengths)),
)
BY_VARIANT = {"tdt": TDT, "cache-aware-ctc": STREAMING}
