"""Strided depthwise convolutions before the encoder: features_BMT -> x_BND, N = ceil(T / factor) when not causal."""

import math

import torch
from torch import nn

from .basic import Linear

KERNEL = 3
STRIDE = 2


class Conv2d(nn.Module):
    """One 3 x 3 convolution of stride 2; causal ones see no later frame than their own."""

    def __init__(self, inputs: int, outputs: int, groups: int, causal: bool):
        super().__init__()
        self.shape, self.groups, self.causal = (outputs, inputs // groups, KERNEL, KERNEL), groups, causal
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(0), requires_grad=False)

    def take(self, source, name: str) -> "Conv2d":
        self.weight.data = source.take(f"{name}.weight", self.shape).clone()
        self.bias.data = source.take(f"{name}.bias", (self.shape[0],)).clone()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.causal:
            # NeMo pads both axes, time and mel, alike.
            x = nn.functional.pad(x, (KERNEL - 1, STRIDE - 1, KERNEL - 1, STRIDE - 1))
            return nn.functional.conv2d(x, self.weight, self.bias, stride=STRIDE, groups=self.groups)
        return nn.functional.conv2d(x, self.weight, self.bias, stride=STRIDE, padding=1, groups=self.groups)


class Pointwise2d(nn.Module):
    """A 1 x 1 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(0), requires_grad=False)

    def take(self, source, name: str) -> "Pointwise2d":
        self.weight.data = source.take(f"{name}.weight", (self.channels, self.channels, 1, 1)).clone()
        self.bias.data = source.take(f"{name}.bias", (self.channels,)).clone()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, self.weight, self.bias)


def output_extent(extent, causal: bool):
    """Frames or bins after one convolution; also of lengths. Written so that every term is positive, as floor needs."""
    padded = extent + (STRIDE if causal else STRIDE - 1)
    return torch.div(padded, STRIDE, rounding_mode="trunc") if isinstance(extent, torch.Tensor) else padded // STRIDE


def outside_BN(frames: int, lengths_B: torch.Tensor, first_B: torch.Tensor | None) -> torch.Tensor:
    """True for frames that are padding: from the length on, and before `first_B` where that is given."""
    index_1N = torch.arange(frames, device=lengths_B.device)[None]
    outside = index_1N >= lengths_B[:, None]
    return outside if first_B is None else outside | (index_1N < first_B[:, None])


class Subsampling(nn.Module):
    """dw_striding: a full convolution, then depthwise + pointwise ones, each of stride 2, then a projection."""

    def __init__(self, config):
        super().__init__()
        self.causal = config.causal_subsampling
        self.steps = int(math.log2(config.subsampling))
        self.first = Conv2d(1, config.channels, 1, self.causal)
        self.depthwise = nn.ModuleList(
            Conv2d(config.channels, config.channels, config.channels, self.causal) for _ in range(self.steps - 1)
        )
        self.pointwise = nn.ModuleList(Pointwise2d(config.channels) for _ in range(self.steps - 1))
        bins = config.mel_bins
        for _ in range(self.steps):
            bins = output_extent(bins, self.causal)
        self.width = config.channels * bins
        self.out = Linear(self.width, config.width)
        # xscaling multiplies what the attention layers get; nothing else lies between.
        self.scale = math.sqrt(config.width) if config.xscaling else 1.0

    def take(self, source, name: str) -> "Subsampling":
        self.first.take(source, f"{name}.conv.0")
        for step in range(self.steps - 1):
            # NeMo counts activations as layers: 0 conv, 1 relu, then depthwise, pointwise, relu.
            self.depthwise[step].take(source, f"{name}.conv.{3 * step + 2}")
            self.pointwise[step].take(source, f"{name}.conv.{3 * step + 3}")
        self.out.take(source, f"{name}.out", self.scale)
        return self

    def forward(self, features_BMT, lengths_B, first_B=None):
        """Returns x_BND and the lengths and firsts of its rows. Padding is zeroed before each convolution, as in NeMo."""
        x = features_BMT.transpose(1, 2).unsqueeze(1)
        x = x.masked_fill(outside_BN(x.size(2), lengths_B, first_B)[:, None, :, None], 0.0)
        for step in range(self.steps):
            if step == 0:
                x = torch.relu(self.first(x))
            else:
                x = torch.relu(self.pointwise[step - 1](self.depthwise[step - 1](x)))
            lengths_B = output_extent(lengths_B, self.causal)
            # A first frame is a multiple of the factor, so that halving is exact.
            first_B = None if first_B is None else torch.div(first_B, STRIDE, rounding_mode="trunc")
            x = x.masked_fill(outside_BN(x.size(2), lengths_B, first_B)[:, None, :, None], 0.0)
        x = x.transpose(1, 2)
        return self.out(x.reshape(x.size(0), -1, self.width)), lengths_B, first_B
