"""Every written graph runs once in ONNX Runtime, on other shapes than it was traced with, before a folder is handed out."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .errors import ExportError
from .graphs import Part

# CONTRACT: an fp32 graph gives what its module gives: |graph - module| <= 1e-3 + 1e-3 |module|.
# SOURCE: ten times the tolerance of the contract. WHY: this run is to find wrong graphs; the parity ladder measures.
TOLERANCE = 1e-3


def _varied(inputs: list[tuple]) -> list[torch.Tensor]:
    """One row more than the example, so that a batch that was frozen by the tracer shows."""
    varied = []
    for port, tensor in inputs:
        axis = port.shape.index("B")
        varied.append(torch.cat((tensor, tensor.narrow(axis, 0, 1)), dim=axis))
    return varied


def _valid(outputs: list[np.ndarray], part: Part) -> list[np.ndarray]:
    """The outputs with the frames behind their length zeroed: those are not defined."""
    names = [port.name for port in part.outputs]
    if "encoded_lengths" not in names:
        return outputs
    lengths = outputs[names.index("encoded_lengths")]
    first = outputs[0].copy()
    for row, length in enumerate(lengths):
        first[row, int(length) :] = 0
    return [first, *outputs[1:]]


def run(part: Part, path: Path, precision: str) -> None:
    """Raises ExportError when the graph at `path` does not load, gives other shapes or NaN, or (fp32) other numbers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Optimising for one run would take longer than the run.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    inputs = _varied(part.inputs)
    remedy = "This is an error of the exporter; please report it with the versions of torch, onnx and onnxruntime"
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        found = session.run(None, {port.name: tensor.numpy() for port, tensor in zip(part.input_ports, inputs)})
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise ExportError(path.name, "a graph that ONNX Runtime runs", str(error).splitlines()[0], remedy) from error
    with torch.no_grad():
        expected = part.module(*inputs)
    expected = [tensor.numpy() for tensor in (expected if isinstance(expected, tuple) else (expected,))]
    found, expected = _valid(found, part), _valid(expected, part)
    for port, ours, theirs in zip(part.outputs, found, expected):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ExportError(
                f"{path.name}: {port.name}", f"{theirs.dtype}{theirs.shape}", f"{ours.dtype}{ours.shape}", remedy
            )
        if not np.isfinite(ours).all():
            wider = remedy if precision == "fp32" else "Export with --precision fp32"
            raise ExportError(f"{path.name}: {port.name}", "finite numbers", "NaN or infinity", wider)
        if (precision == "fp32" or ours.dtype != np.float32) and not np.allclose(
            ours, theirs, rtol=TOLERANCE, atol=TOLERANCE
        ):
            apart = float(np.abs(ours - theirs).max())
            raise ExportError(
                f"{path.name}: {port.name}", "what the module gives", f"numbers up to {apart:.3g} off", remedy
            )
