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
# SOURCE: norms square what they get, and f32 ends at 3.4e38.
OVERFLOW = 1e18

REMEDY = "This is an error of the exporter; please report it with the versions of torch, onnx and onnxruntime"


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


def _overflow(part: Part, inputs: list[torch.Tensor]) -> str | None:
    """The first module of the part whose numbers are not finite or pass OVERFLOW, and the largest of them; None without one."""
    found: list[str] = []

    def look(name):
        def hook(_module, _inputs, outputs):
            for tensor in outputs if isinstance(outputs, tuple) else (outputs,):
                if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.numel() and not found:
                    largest = float(tensor.abs().max())
                    if not largest <= OVERFLOW:
                        found.append(f"{largest:.3g} after {name or part.part}")

        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in part.module.named_modules()]
    try:
        with torch.no_grad():
            part.module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _differs(part: Part, inputs: list[torch.Tensor], field: str, expected: str, received: str) -> ExportError:
    """The error of a graph that is not its module: the exporter's, unless the weights lead the module out of f32 as well."""
    overflow = _overflow(part, inputs)
    if overflow is None:
        return ExportError(field, expected, received, REMEDY)
    remedy = "Its weights are damaged, or it was never trained: noise as input leads it out of f32's range"
    return ExportError(f"the checkpoint's {part.part}", f"numbers within {OVERFLOW:g}", overflow, remedy)


def run(part: Part, path: Path, precision: str) -> None:
    """Raises ExportError when the graph at `path` does not load, gives other shapes or NaN, or (fp32) other numbers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Optimising for one run would take longer than the run.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    inputs = _varied(part.inputs)
    with torch.no_grad():
        expected = part.module(*inputs)
    expected = [tensor.numpy() for tensor in (expected if isinstance(expected, tuple) else (expected,))]
    expected = _valid(expected, part)
    for port, theirs in zip(part.outputs, expected):
        if not np.isfinite(theirs).all():
            raise _differs(part, inputs, f"{part.part}: {port.name}", "finite numbers", "NaN or infinity")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        found = session.run(None, {port.name: tensor.numpy() for port, tensor in zip(part.input_ports, inputs)})
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise ExportError(path.name, "a graph that ONNX Runtime runs", str(error).splitlines()[0], REMEDY) from error
    for port, ours, theirs in zip(part.outputs, _valid(found, part), expected):
        field = f"{path.name}: {port.name}"
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ExportError(field, f"{theirs.dtype}{theirs.shape}", f"{ours.dtype}{ours.shape}", REMEDY)
        if not np.isfinite(ours).all():
            if precision != "fp32":
                raise ExportError(field, "finite numbers", "NaN or infinity", "Export with --precision fp32")
            raise _differs(part, inputs, field, "finite numbers", "NaN or infinity")
        if precision != "fp32" and ours.dtype == np.float32:
            continue
        if not np.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE):
            apart = float(np.abs(ours - theirs).max())
            raise _differs(part, inputs, field, "what the module gives", f"numbers up to {apart:.3g} off")
