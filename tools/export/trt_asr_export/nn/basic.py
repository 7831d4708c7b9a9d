"""Linear and LayerNorm, with weights as the exported graph wants them."""

import torch
from torch import nn


class Linear(nn.Module):
    """x W + b with W of [in, out], so that the graph needs no Transpose before its MatMul."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(0), requires_grad=False) if bias else None

    def take(self, source, name: str, scale: float = 1.0, kernel: bool = False) -> "Linear":
        """Takes `name`.weight and .bias, times `scale`; `kernel` says that they belong to a convolution of width 1."""
        shape = (self.outputs, self.inputs, 1) if kernel else (self.outputs, self.inputs)
        weight = source.take(f"{name}.weight", shape).reshape(self.outputs, self.inputs)
        self.weight.data = (weight.t() * scale).contiguous()
        if self.bias is not None:
            self.bias.data = source.take(f"{name}.bias", (self.outputs,)) * scale
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.matmul(x, self.weight)
        return x if self.bias is None else x + self.bias


class LayerNorm(nn.Module):
    """Normalises the last axis."""

    # SOURCE: torch.nn.LayerNorm's default, which NeMo uses throughout.
    EPSILON = 1e-5

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(0), requires_grad=False)

    def take(self, source, name: str) -> "LayerNorm":
        self.weight.data = source.take(f"{name}.weight", (self.width,)).clone()
        self.bias.data = source.take(f"{name}.bias", (self.width,)).clone()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(x, (self.width,), self.weight, self.bias, self.EPSILON)
