"""fp32 graph -> strongly typed fp16 graph: every type is written down, so TensorRT needs no flags and no layer pins.

Inputs and outputs stay f32. LayerNormalization, Softmax and LogSoftmax compute in f32; lengths and masks were never floats. Scores that
must not be seen are -10000, which fp16 holds.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .errors import ExportError
from .onnx_graph import Graph, typed

# SOURCE: exponents and variances of wide rows pass fp16's range and precision; NeMo's autocast keeps the same operations in f32.
KEPT = {"LayerNormalization", "Softmax", "LogSoftmax"}
FP16_MAX = 65504.0


def _narrow(name: str, array: np.ndarray) -> np.ndarray:
    worst = float(np.abs(array).max()) if array.size else 0.0
    if worst > FP16_MAX:
        raise ExportError(
            f"tensor {name}", "values within fp16's 65504", f"{worst:.6g}", "Export with --precision fp32"
        )
    return array.astype(np.float16)


class _Pass:
    def __init__(self, graph: Graph):
        self.graph, self.types = graph, typed(graph)
        self.nodes: list[onnx.NodeProto] = []
        self.outputs = {value.name for value in graph.model.graph.output}
        self.wide = self._kept_constants()
        # A value's name in each of the two types, once a cast has been made.
        self.casts: dict[tuple[str, int], str] = {}

    def _kept_constants(self) -> set[str]:
        """Weights and constants that only KEPT nodes read stay f32."""
        constants = set(self.graph.weights) | {
            node.output[0] for node in self.graph.model.graph.node if node.op_type == "Constant"
        }
        readers: dict[str, set[bool]] = {}
        for node in self.graph.model.graph.node:
            for name in constants.intersection(node.input):
                readers.setdefault(name, set()).add(node.op_type in KEPT)
        return {name for name, kinds in readers.items() if kinds == {True}}

    def is_float(self, name: str) -> bool:
        return self.types.get(name) == TensorProto.FLOAT

    def cast(self, name: str, to: int) -> str:
        key = (name, to)
        if key not in self.casts:
            self.casts[key] = f"{name}_{'f16' if to == TensorProto.FLOAT16 else 'f32'}"
            self.nodes.append(
                helper.make_node("Cast", [name], [self.casts[key]], name=f"{self.casts[key]}/Cast", to=to)
            )
        return self.casts[key]

    def constant(self, node: onnx.NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:
                array = numpy_helper.to_array(attribute.t)
                attribute.t.CopyFrom(numpy_helper.from_array(_narrow(node.output[0], array), attribute.t.name))
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16

    def kept(self, node: onnx.NodeProto) -> None:
        """Widens what goes in and narrows what comes out, but for an output of the graph."""
        for index, name in enumerate(node.input):
            if self.is_float(name) and name not in self.wide:
                node.input[index] = self.cast(name, TensorProto.FLOAT)
        narrowed = []
        for index, name in enumerate(node.output):
            if self.is_float(name) and name not in self.outputs:
                # The next KEPT node that reads it takes the wide value itself.
                node.output[index] = self.casts[name, TensorProto.FLOAT] = f"{name}_f32"
                narrowed.append((f"{name}_f32", name))
        self.nodes.append(node)
        for wide, name in narrowed:
            self.nodes.append(helper.make_node("Cast", [wide], [name], name=f"{name}/Narrow", to=TensorProto.FLOAT16))

    def plain(self, node: onnx.NodeProto) -> None:
        self.constant(node)
        widened = []
        for index, name in enumerate(node.output):
            if name in self.outputs and self.is_float(name):
                node.output[index] = f"{name}_f16"
                widened.append((f"{name}_f16", name))
        self.nodes.append(node)
        for narrow, name in widened:
            self.nodes.append(helper.make_node("Cast", [narrow], [name], name=f"{name}/Widen", to=TensorProto.FLOAT))

    def run(self) -> None:
        proto = self.graph.model.graph
        renamed = {}
        for value in proto.input:
            if self.is_float(value.name):
                renamed[value.name] = self.cast(value.name, TensorProto.FLOAT16)
                self.types[renamed[value.name]] = TensorProto.FLOAT
        original = [onnx.NodeProto.FromString(node.SerializeToString()) for node in proto.node]
        for node in original:
            for index, name in enumerate(node.input):
                node.input[index] = renamed.get(name, name)
            if node.op_type == "Constant" and node.output[0] in self.wide:
                self.nodes.append(node)
            elif node.op_type in KEPT:
                self.kept(node)
            else:
                self.plain(node)
        del proto.node[:]
        proto.node.extend(self.nodes)
        for name, array in self.graph.weights.items():
            if array.dtype == np.float32 and name not in self.wide:
                self.graph.weights[name] = _narrow(name, array)


def to_fp16(graph: Graph) -> None:
    """Rewrites `graph` in place."""
    _Pass(graph).run()
