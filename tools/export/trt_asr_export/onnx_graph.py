"""A module -> an ONNX graph whose weights are held apart from it, so that passes and files work on 2.4 GB as on 2 MB."""

import io
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from .digest import sha256_hex

# SOURCE: LayerNormalization came with opset 17. WHY: it keeps the norm in one node, which TensorRT and ONNX Runtime fuse.
OPSET = 17
IR_VERSION = 8
PRODUCER = "trt-asr-export"

# CONTRACT: a graph whose weights fit is one self-contained file.
# SOURCE: a protobuf message cannot pass 2 GiB; the rest is room for nodes and names.
# WHY: a session that is made from memory cannot follow external data.
INLINE_BYTES_MAX = 1_900_000_000

TYPES = {"f32": TensorProto.FLOAT, "i64": TensorProto.INT64, "i32": TensorProto.INT32}
TORCH_TYPES = {"f32": torch.float32, "i64": torch.int64, "i32": torch.int32}
ONNX_OF_NUMPY = {
    np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16, np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8, np.dtype(np.int64): TensorProto.INT64,
}  # fmt: skip


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: a string in the shape is a free axis, and stays the same wherever it is named."""

    name: str
    dtype: str
    layout: str
    shape: tuple

    def contract(self) -> dict:
        return {"name": self.name, "dtype": self.dtype, "layout": self.layout, "shape": list(self.shape)}

    def value_info(self) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(self.name, TYPES[self.dtype], list(self.shape))


@dataclass
class Graph:
    """`model` without its large initializers, which `weights` holds by name."""

    model: onnx.ModelProto
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for array in self.weights.values())


def trace(module: torch.nn.Module, inputs: list[tuple[Port, torch.Tensor]], outputs: list[Port]) -> Graph:
    """Traces `module` on the example tensors of `inputs`."""
    free = {
        port.name: {axis: name for axis, name in enumerate(port.shape) if isinstance(name, str)}
        for port in [p for p, _ in inputs] + outputs
    }
    sink = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of every Python value it sees; the smoke run on other shapes is the real check.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(tensor for _, tensor in inputs), sink, export_params=False, input_names=[port.name for port, _ in inputs],
            output_names=[port.name for port in outputs], dynamic_axes=free, opset_version=OPSET, do_constant_folding=True, dynamo=False,
        )  # fmt: skip
    model = onnx.load_from_string(sink.getvalue())
    graph = Graph(model)
    tensors = module.state_dict()
    wanted = {name for node in model.graph.node for name in node.input}
    for value in list(model.graph.input)[len(inputs) :]:
        if value.name in wanted:
            graph.weights[value.name] = tensors[value.name].detach().contiguous().numpy()
    _clean(model, [port for port, _ in inputs], outputs)
    return graph


def _clean(model: onnx.ModelProto, inputs: list[Port], outputs: list[Port]) -> None:
    """Leaves nothing in the file that differs between two runs or machines."""
    model.ir_version, model.producer_name, model.producer_version, model.doc_string = IR_VERSION, PRODUCER, "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = "graph", ""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for ports, values in ((inputs, graph.input), (outputs, graph.output)):
        del values[:]
        values.extend(port.value_info() for port in ports)
    del graph.value_info[:]
    bad = sorted({node.op_type for node in graph.node} & {"If", "Loop", "Scan"})
    if bad:
        raise AssertionError(f"the traced graph holds {bad}, which inference must not have")


def typed(graph: Graph) -> dict[str, int]:
    """The element type of every value of the graph, weights included."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    for name, array in graph.weights.items():
        model.graph.input.append(helper.make_tensor_value_info(name, ONNX_OF_NUMPY[array.dtype], array.shape))
    inferred = onnx.shape_inference.infer_shapes(model)
    values = [*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in inferred.graph.initializer}


def _initializer(name: str, array: np.ndarray) -> TensorProto:
    return TensorProto(name=name, dims=array.shape, data_type=ONNX_OF_NUMPY[array.dtype])


def save(graph: Graph, path: Path, metadata: dict[str, str]) -> list[Path]:
    """Writes the graph, with its weights inside or, when they are too many, in one file beside it. Returns the files."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    helper.set_model_props(model, metadata)
    path = Path(path)
    if graph.bytes <= INLINE_BYTES_MAX:
        for name, array in graph.weights.items():
            tensor = _initializer(name, array)
            tensor.raw_data = array.tobytes()
            model.graph.initializer.append(tensor)
        path.write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(path))
        return [path]
    data = path.with_name(path.name + ".data")
    with open(data, "wb") as stream:
        for name, array in graph.weights.items():
            # SOURCE: the ONNX specification asks for offsets that are multiples of 4096, so that files can be mapped.
            stream.write(b"\0" * (-stream.tell() % 4096))
            tensor = _initializer(name, array)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", data.name), ("offset", stream.tell()), ("length", array.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            stream.write(np.ascontiguousarray(array).data)
            model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))
    return [path, data]


def describe(path: Path) -> dict:
    """A file's entry in contract.json."""
    return {"bytes": os.path.getsize(path), "sha256": sha256_hex(path)}
