"""TensorRT-RTX parses and builds a graph without a GPU: whether a model can become an engine is known before one is at hand.

    build(path, is_encoder, capabilities, frames) -> bytes of the plan
    loops(path) -> how many loops the parser makes of its nodes

Needs tensorrt-rtx-cu13-libs and tensorrt-rtx-cu13-bindings (module `tensorrt_rtx_bindings`).
"""

from dataclasses import dataclass
from pathlib import Path

# CONTRACT: the compute capabilities that one plan is made for. SOURCE: TensorRT-RTX 1.7.1 takes 7.5, 8.0, 8.6, 8.9, 12.0 and 12.1;
# its fp32 GEMM fails for 7.5. WHY: these are the GPUs that it is for. TODO: none.
CAPABILITIES = (80, 86, 89, 120)
FRAMES = (16, 100, 400)
BATCH = (1, 4, 8)


class BuildError(Exception):
    """A graph that cannot be built, with TensorRT's own words."""


def available() -> bool:
    try:
        import tensorrt_rtx_bindings  # noqa: F401
    except ImportError:
        return False
    return True


def _logger(trt):
    class Logger(trt.ILogger):
        def __init__(self):
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity, text):
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(text)

    return Logger()


@dataclass(frozen=True)
class Extents:
    """Least, usual and greatest shape of one input."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    greatest: tuple[int, ...]


def extents(name: str, shape: tuple[int, ...], is_encoder: bool, frames: tuple[int, int, int] = FRAMES) -> Extents:
    """The batch stands first, of a predictor's states [L, B, H] second; the features' last axis is time; a step is one."""
    batch = 1 if not is_encoder and len(shape) == 3 and shape[0] > 0 else 0
    columns = []
    for axis, extent in enumerate(shape):
        if extent >= 0:
            columns.append((extent,) * 3)
        elif axis == batch:
            columns.append(BATCH)
        elif is_encoder and len(shape) == 3 and axis == 2:
            columns.append(frames)
        elif not is_encoder:
            columns.append((1, 1, 1))
        else:
            raise BuildError(f"{name}: no rule for axis {axis} of {shape}")
    return Extents(*(tuple(column[kind] for column in columns) for kind in range(3)))


def _parse(trt, path: Path, logger):
    """The builder, its network, and the parser, which holds the network's weights. Raises BuildError."""
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        refused = {parser.get_error(index).node_operator() for index in range(parser.num_errors)}
        raise BuildError(f"{path.name}: the parser refuses {', '.join(sorted(refused))}: {'; '.join(logger.errors[:1])}")
    return builder, network, parser


def loops(path: Path) -> int:
    """Loops that the parser makes of the nodes of an ONNX file. Raises BuildError."""
    import tensorrt_rtx_bindings.tensorrt_rtx as trt

    _builder, network, _parser = _parse(trt, path, _logger(trt))
    return sum(network.get_layer(index).type == trt.LayerType.TRIP_LIMIT for index in range(network.num_layers))


def build(path: Path, is_encoder: bool, capabilities: tuple[int, ...] = CAPABILITIES, frames: tuple[int, int, int] = FRAMES) -> bytes:
    """The plan of the ONNX file for all capabilities; `frames` are those of an encoder's input. Raises BuildError."""
    import tensorrt_rtx_bindings.tensorrt_rtx as trt

    logger = _logger(trt)
    builder, network, _parser = _parse(trt, path, logger)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), index)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        given = network.get_input(index)
        found = extents(given.name, tuple(given.shape), is_encoder, frames)
        profile.set_shape(given.name, found.least, found.usual, found.greatest)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(f"{path.name}: {'; '.join(logger.errors) or 'no plan, and no reason'}")
    return bytes(plan)
