"""The graphs of a model folder: their ports, examples to trace and check them with, and the modules behind them."""

from dataclasses import dataclass

import torch
from torch import nn

from .model import Model
from .nn.encoder import StreamingEncoder
from .onnx_graph import Port

EXAMPLE_ROWS = 2
EXAMPLE_FRAMES = 128
SEED = 42


class WithHead(nn.Module):
    """An encoder whose first output goes through a head: the CTC head, or the joint's projection."""

    def __init__(self, encoder: nn.Module, head: nn.Module | None):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, *inputs):
        first, *others = self.encoder(*inputs)
        return (first if self.head is None else self.head(first), *others)


@dataclass
class Part:
    """One graph: `part` is its section of contract.json."""

    part: str
    file: str
    module: nn.Module
    inputs: list[tuple[Port, torch.Tensor]]
    outputs: list[Port]

    @property
    def input_ports(self) -> list[Port]:
        return [port for port, _ in self.inputs]


def _names(ctc: bool) -> tuple[str, str]:
    return ("processed_signal", "processed_signal_length") if ctc else ("features", "lengths")


def _first_output(model: Model, ctc: bool, projected: bool) -> tuple[Port, nn.Module | None]:
    """What leaves the encoder's graph, and the head that makes it."""
    if ctc:
        return Port("log_probs", "f32", "BTC", ("B", "T8", model.vocabulary + 1)), model.ctc
    if projected:
        return Port("encoded", "f32", "BTD", ("B", "T8", model.config.joint.width)), model.joint.encoded
    return Port("encoded", "f32", "BTD", ("B", "T8", model.config.encoder.output_width)), None


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(SEED))


def encoder_part(model: Model, ctc: bool, projected: bool) -> Part:
    """Whole utterances, ragged batches."""
    bins = model.config.encoder.mel_bins
    features, lengths = _names(ctc)
    first, head = _first_output(model, ctc, projected)
    frames = min(EXAMPLE_FRAMES, model.config.encoder.mel_frames_max)
    inputs = [
        (Port(features, "f32", "BMT", ("B", bins, "T")), _random(EXAMPLE_ROWS, bins, frames)),
        (Port(lengths, "i64", "B", ("B",)), torch.tensor([frames, frames // 2 + 1])),
    ]
    outputs = [first, Port("encoded_lengths", "i64", "B", ("B",))]
    return Part("encoder", "model.onnx" if ctc else "encoder.onnx", WithHead(model.encoder, head), inputs, outputs)


def streaming_part(model: Model, plan, ctc: bool, projected: bool) -> Part:
    """One chunk of each of several streams."""
    config = model.config.encoder
    features, lengths = _names(ctc)
    first, head = _first_output(model, ctc, projected)
    layers, width, cached, time = config.layers, config.width, plan.cache_channel_frames, plan.cache_time_frames
    caches = [
        Port("cache_last_channel", "f32", "BLKD", ("B", layers, cached, width)),
        Port("cache_last_time", "f32", "BLDK", ("B", layers, width, time)),
        Port("cache_last_channel_len", "i64", "B", ("B",)),
    ]
    examples = [
        _random(EXAMPLE_ROWS, layers, cached, width), _random(EXAMPLE_ROWS, layers, width, time), torch.tensor([0, cached // 2 + 1]),
    ]  # fmt: skip
    # The first row is at its start: its caches are empty.
    examples[0][0], examples[1][0] = 0.0, 0.0
    frames = plan.input_frames
    inputs = [
        (Port(features, "f32", "BMT", ("B", config.mel_bins, "T")), _random(EXAMPLE_ROWS, config.mel_bins, frames)),
        (Port(lengths, "i64", "B", ("B",)), torch.tensor([frames, frames - 3])),
        *zip(caches, examples),
    ]
    nexts = [Port(f"{port.name}_next", port.dtype, port.layout, port.shape) for port in caches]
    outputs = [first, Port("encoded_lengths", "i64", "B", ("B",)), *nexts]
    module = WithHead(StreamingEncoder(model.encoder, plan), head)
    return Part("streaming", "streaming_model.onnx" if ctc else "streaming_encoder.onnx", module, inputs, outputs)


def predictor_part(model: Model) -> Part:
    config = model.predictor.config
    shape = (config.layers, "B", config.width)
    states = [
        (Port(f"state_{part}", "f32", "LBH", shape), _random(config.layers, EXAMPLE_ROWS, config.width))
        for part in "hc"
    ]
    token = torch.tensor([[model.vocabulary], [model.vocabulary // 2]], dtype=torch.int32)
    outputs = [
        Port("predicted", "f32", "B1H", ("B", 1, config.width)),
        *(Port(f"next_state_{part}", "f32", "LBH", shape) for part in "hc"),
    ]
    return Part(
        "predictor",
        "predictor.onnx",
        model.predictor,
        [(Port("token", "i32", "B1", ("B", 1)), token), *states],
        outputs,
    )


def joint_part(model: Model, projected: bool) -> Part:
    width = model.config.joint.width if projected else model.config.encoder.output_width
    predicted = model.config.predictor.width
    inputs = [
        (Port("encoded", "f32", "B1D", ("B", 1, width)), _random(EXAMPLE_ROWS, 1, width)),
        (Port("predicted", "f32", "B1H", ("B", 1, predicted)), _random(EXAMPLE_ROWS, 1, predicted)),
    ]
    return Part("joint", "joint.onnx", model.joint, inputs, [Port("logits", "f32", "BC", ("B", model.joint.classes))])
