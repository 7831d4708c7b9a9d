"""What every layout does with its ONNX files: one file a graph, metadata, int8."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

# CONTRACT: a graph whose weights fit is one self-contained file.
# SOURCE: a protobuf message cannot pass 2 GiB; the rest is room for nodes and names.
# WHY: a session that is made from memory cannot follow relative external data.
INLINE_BYTES_MAX = 1_900_000_000


def pack(path: Path, metadata: dict[str, str] | None = None) -> list[Path]:
    """Rewrites the graph at `path` so that its weights are inline, or in one file beside it if they are too large.

    `metadata` is stored as the model's custom metadata. Returns the files that now make up the graph. Older external
    files of the graph are removed.
    """
    path = Path(path)
    model = onnx.load(path, load_external_data=False)
    external = {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
    onnx.load_external_data_for_model(model, str(path.parent))
    for name in external:
        (path.parent / name).unlink()
    if metadata:
        onnx.helper.set_model_props(model, metadata)
    if model.ByteSize() <= INLINE_BYTES_MAX:
        onnx.save(model, path)
        return [path]
    data = path.with_name(path.name + ".data")
    data.unlink(missing_ok=True)  # onnx would append to it
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data.name)
    return [path, data]


def quantize(source: Path, target: Path) -> list[Path]:
    """Writes the dynamically quantised (QUInt8 weights, one scale a tensor) variant of `source` to `target`."""
    custom = {entry.key: entry.value for entry in onnx.load(source, load_external_data=False).metadata_props}
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # The quantiser needs shapes it can infer; it reads external data, so it must run beside the source.
        rough = Path(scratch) / target.name
        quantize_dynamic(str(source), str(rough), weight_type=QuantType.QUInt8)
        rough.replace(target)
    return pack(target, custom)


def shorten_names(path: Path) -> None:
    """Drops node names and shape notes and renames inner values, in place: a third less of a tiny graph's bytes.

    Inputs, outputs and weights keep their names. For fixtures only: in a real model the names are worth their bytes.
    """
    model = onnx.load(path)
    graph = model.graph
    fixed = {value.name for value in [*graph.input, *graph.output, *graph.initializer]}
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        raise ValueError(f"expected a graph without subgraphs for {path} but received one")
    short: dict[str, str] = {"": ""}
    for node in graph.node:
        node.ClearField("name")
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name not in fixed:
                    names[index] = short.setdefault(name, f"v{len(short)}")
    graph.ClearField("value_info")
    onnx.checker.check_model(model)
    onnx.save(model, path)


def merge_constants(path: Path) -> None:
    """Makes one constant of equal ones, in place: tracing writes an axis down at each of its uses. For fixtures only."""
    model = onnx.load(path)
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Constant":
            name = first.setdefault(node.attribute[0].SerializeToString(), node.output[0])
            if name != node.output[0]:
                same[node.output[0]] = name
                continue
        node.input[:] = [same.get(name, name) for name in node.input]
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
