"""One Conformer layer: half feed-forward, attention, convolution, half feed-forward, norm."""

import torch
from torch import nn

from ..errors import ExportError
from .attention import RelativeAttention
from .basic import LayerNorm, Linear


class FeedForward(nn.Module):
    """Linear, SiLU, Linear; the Conformer's factor of one half is folded into the second."""

    def __init__(self, width: int, inner: int, bias: bool):
        super().__init__()
        self.norm = LayerNorm(width)
        self.linear1, self.linear2 = Linear(width, inner, bias), Linear(inner, width, bias)

    def take(self, source, name: str, norm_name: str) -> "FeedForward":
        self.norm.take(source, norm_name)
        self.linear1.take(source, f"{name}.linear1")
        self.linear2.take(source, f"{name}.linear2", 0.5)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear2(nn.functional.silu(self.linear1(self.norm(x))))


class Convolution(nn.Module):
    """Pointwise, GLU, depthwise, norm, SiLU, pointwise. Batch norm is folded into the depthwise convolution."""

    # SOURCE: torch.nn.BatchNorm1d's default, which NeMo uses.
    BATCH_NORM_EPSILON = 1e-5

    def __init__(self, config):
        super().__init__()
        width = config.width
        self.width, self.kernel, self.context, self.use_bias = (
            width,
            config.kernel,
            config.kernel_context,
            config.use_bias,
        )
        self.expand, self.contract = Linear(width, 2 * width, config.use_bias), Linear(width, width, config.use_bias)
        self.norm = LayerNorm(width) if config.norm == "layer_norm" else None
        self.weight = nn.Parameter(torch.empty(0), requires_grad=False)
        # A folded batch norm gives every depthwise convolution a bias.
        has_bias = self.use_bias or self.norm is None
        self.bias = nn.Parameter(torch.empty(0), requires_grad=False) if has_bias else None

    def take(self, source, name: str) -> "Convolution":
        self.expand.take(source, f"{name}.pointwise_conv1", kernel=True)
        self.contract.take(source, f"{name}.pointwise_conv2", kernel=True)
        weight = source.take(f"{name}.depthwise_conv.weight", (self.width, 1, self.kernel)).clone()
        bias = source.take(f"{name}.depthwise_conv.bias", (self.width,)).clone() if self.use_bias else None
        if self.norm is not None:
            self.norm.take(source, f"{name}.batch_norm")
        else:
            weight, bias = self._folded(source, f"{name}.batch_norm", weight, bias)
        self.weight.data = weight
        if bias is not None:
            self.bias.data = bias
        return self

    def _folded(self, source, name: str, weight, bias):
        gain, offset, mean, variance = (
            source.take(f"{name}.{part}", (self.width,)).double()
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        source.skip(f"{name}.num_batches_tracked")
        least = float(variance.min())
        if least < 0.0:
            field = f"tensor {name}.running_var"
            raise ExportError(field, "variances of 0 or more", f"{least:.6g}", "The checkpoint is damaged")
        gain = gain / torch.sqrt(variance + self.BATCH_NORM_EPSILON)
        before = 0.0 if bias is None else bias.double()
        return (weight.double() * gain[:, None, None]).float(), ((before - mean) * gain + offset).float()

    def forward(self, x_BND, padding_BN, cache_BDK=None, drop_frames: int = 0):
        """Returns y_BND and, when a cache of the last K inputs came, the next one."""
        value, gate = self.expand(x_BND).split([self.width] * 2, dim=-1)
        x = (value * torch.sigmoid(gate)).masked_fill(padding_BN[:, :, None], 0.0).transpose(1, 2)
        left, right = self.context
        if cache_BDK is None:
            padding = left if left == right else 0
            x = x if left == right else nn.functional.pad(x, (left, right))
            x = nn.functional.conv1d(x, self.weight, self.bias, padding=padding, groups=self.width)
            return self._after(x.transpose(1, 2)), None
        x = torch.cat((cache_BDK, nn.functional.pad(x, (0, right)) if right else x), dim=2)
        # NeMo's cache holds the zeros on the right too, when the convolution looks ahead; so does ours.
        next_BDK = (x[:, :, :-drop_frames] if drop_frames else x)[:, :, -left:]
        x = nn.functional.conv1d(x, self.weight, self.bias, groups=self.width)
        return self._after(x.transpose(1, 2)), next_BDK

    def _after(self, x_BND: torch.Tensor) -> torch.Tensor:
        x = x_BND if self.norm is None else self.norm(x_BND)
        return self.contract(nn.functional.silu(x))


class Layer(nn.Module):
    """One of the encoder's layers."""

    def __init__(self, config):
        super().__init__()
        self.before = FeedForward(config.width, config.feed_forward_width, config.use_bias)
        self.attention_norm = LayerNorm(config.width)
        self.attention = RelativeAttention(config.width, config.heads, config.use_bias)
        self.convolution_norm = LayerNorm(config.width)
        self.convolution = Convolution(config)
        self.after = FeedForward(config.width, config.feed_forward_width, config.use_bias)
        self.norm = LayerNorm(config.width)
        self.tied = not config.untie_biases

    def take(self, source, name: str) -> "Layer":
        self.before.take(source, f"{name}.feed_forward1", f"{name}.norm_feed_forward1")
        self.attention_norm.take(source, f"{name}.norm_self_att")
        self.attention.take(source, f"{name}.self_attn", f"{name}.self_attn")
        self.convolution_norm.take(source, f"{name}.norm_conv")
        self.convolution.take(source, f"{name}.conv")
        self.after.take(source, f"{name}.feed_forward2", f"{name}.norm_feed_forward2")
        self.norm.take(source, f"{name}.norm_out")
        return self

    def forward(self, x_BND, positions_PD, mask, padding_BN, extents):
        x = x_BND + self.before(x_BND)
        seen = self.attention_norm(x)
        x = x + self.attention(seen, seen, positions_PD, mask, extents)
        x = x + self.convolution(self.convolution_norm(x), padding_BN)[0]
        return self.norm(x + self.after(x))

    def step(self, x_BND, positions_PD, mask, padding_BN, extents, cache_BKD, cache_BDK, drop_frames: int):
        """One chunk after earlier ones: also returns the caches for the next chunk."""
        x = x_BND + self.before(x_BND)
        seen = self.attention_norm(x)
        keys_BSD = torch.cat((cache_BKD, seen), dim=1)
        x = x + self.attention(seen, keys_BSD, positions_PD, mask, extents, padding_BN)
        convolved, next_BDK = self.convolution(self.convolution_norm(x), padding_BN, cache_BDK, drop_frames)
        x = x + convolved
        kept = keys_BSD[:, :-drop_frames] if drop_frames else keys_BSD
        return self.norm(x + self.after(x)), kept[:, -cache_BKD.size(1) :], next_BDK
