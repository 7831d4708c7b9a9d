"""Removes what the tracer repeats: equal nodes, and casts of a value to the type it has. Results stay bit for bit the same."""

import onnx
from onnx import TensorProto

from .onnx_graph import Graph, typed


def _key(node: onnx.NodeProto) -> bytes:
    """Equal for nodes that compute the same from the same."""
    bare = onnx.NodeProto()
    bare.CopyFrom(node)
    bare.name = ""
    del bare.output[:]
    bare.output.extend("" for _ in node.output)
    return bare.SerializeToString(deterministic=True)


def simplify(graph: Graph) -> None:
    """Rewrites `graph` in place. Values that are outputs of the graph keep their names."""
    proto, types = graph.model.graph, typed(graph)
    outputs = {value.name for value in proto.output}
    same: dict[str, str] = {}
    first: dict[bytes, onnx.NodeProto] = {}
    kept = []
    for node in proto.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)
        free = not outputs.intersection(node.output)
        if free and node.op_type == "Cast" and types.get(node.input[0], TensorProto.UNDEFINED) == node.attribute[0].i:
            same[node.output[0]] = node.input[0]
            continue
        key = _key(node)
        if free and key in first:
            same |= dict(zip(node.output, first[key].output))
            continue
        first.setdefault(key, node)
        kept.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del proto.node[:]
    proto.node.extend(_used(nodes, outputs))


def _used(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that an output depends on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]
