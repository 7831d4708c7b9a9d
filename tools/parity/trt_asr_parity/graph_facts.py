"""What an exported folder consists of: nodes, operators, weights, bytes, hashes."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from trt_asr_export.onnx_graph import describe


def graph(path: Path) -> dict:
    """One graph, without loading its weights."""
    model = onnx.load(path, load_external_data=False)
    operators = Counter(node.op_type for node in model.graph.node)
    elements = sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in model.graph.initializer)
    return {
        "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "nodes": len(model.graph.node),
        "operators": dict(sorted(operators.items(), key=lambda pair: (-pair[1], pair[0]))),
        "initializers": len(model.graph.initializer),
        "weights": elements,
    }


def folder(path: Path) -> dict:
    """All graphs of a folder by file name, and every file's bytes and hash."""
    contract = json.loads((path / "contract.json").read_text(encoding="utf-8"))
    return {
        "precision": contract["precision"],
        "graphs": {file.name: graph(file) for file in sorted(path.glob("*.onnx"))},
        "files": {file.name: describe(file) for file in sorted(path.iterdir()) if file.is_file()},
    }
