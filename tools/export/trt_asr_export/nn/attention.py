"""Self-attention with relative positions (Transformer-XL, arXiv 1901.02860), with or without a cache of earlier frames."""

import math
from typing import NamedTuple

import torch
from torch import nn

from .basic import Linear

# CONTRACT: what a query must not see gets this score.
# SOURCE: NeMo's INF_VAL. WHY: it is finite in fp16, and exp of it is exactly 0 beside any seen score.
UNSEEN = -10000.0


def position_table(frames_max: int, width: int) -> torch.Tensor:
    """Sinusoids of the distances frames_max - 1 ... -frames_max: [2 frames_max, width]."""
    distances = torch.arange(frames_max - 1, -frames_max - 1, -1, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
    table = torch.empty(2 * frames_max, width)
    table[:, 0::2] = torch.sin(distances * rates)
    table[:, 1::2] = torch.cos(distances * rates)
    return table


class Extents(NamedTuple):
    """Batch, queries and keys of one call. They are taken once, so that the graph computes its shapes once for all layers."""

    batch: int
    queries: int
    keys: int


def shifted(scores: torch.Tensor, heads: int, extents: Extents) -> torch.Tensor:
    """[B, heads, N, S + N] by distance -> [B, heads, N, S] by key: row n starts at column N - 1 - n.

    Read as one row of numbers from N - 1 on, in rows that are one shorter, each row starts one column earlier than the
    one before. That needs no padding, only the one distance more than any query reaches.
    """
    batch, queries, keys = extents
    positions = keys + queries
    flat = scores.reshape(batch, heads, queries * positions)
    flat = flat[:, :, queries - 1 : queries * positions - 1]
    return flat.reshape(batch, heads, queries, positions - 1)[:, :, :, :keys]


class RelativeAttention(nn.Module):
    """One layer's attention. Queries are scaled by 1 / sqrt(head width) through their weights."""

    def __init__(self, width: int, heads: int, bias: bool):
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query, self.key, self.value, self.out = (Linear(width, width, bias) for _ in range(4))
        self.position = Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.empty(0), requires_grad=False)
        self.position_bias = nn.Parameter(torch.empty(0), requires_grad=False)

    def take(self, source, name: str, bias_name: str) -> "RelativeAttention":
        """Takes the layer's tensors; the two biases lie at `bias_name`, which tied layers share."""
        scale = 1.0 / math.sqrt(self.head_width)
        self.query.take(source, f"{name}.linear_q", scale)
        self.key.take(source, f"{name}.linear_k")
        self.value.take(source, f"{name}.linear_v")
        self.out.take(source, f"{name}.linear_out")
        self.position.take(source, f"{name}.linear_pos")
        shape = (self.heads, self.head_width)
        self.content_bias.data = source.take(f"{bias_name}.pos_bias_u", shape) * scale
        self.position_bias.data = source.take(f"{bias_name}.pos_bias_v", shape) * scale
        return self

    def _heads(self, x_BSD: torch.Tensor, batch: int, frames: int) -> torch.Tensor:
        return x_BSD.reshape(batch, frames, self.heads, self.head_width)

    def forward(self, x_BND, keys_BSD, positions_PD, mask, extents: Extents, padding_BN=None):
        """x_BND attends to keys_BSD. `mask` is added to the scores; rows of `padding_BN` attend to nothing at all."""
        batch, queries, keys = extents
        query = self._heads(self.query(x_BND), batch, queries)
        key = self._heads(self.key(keys_BSD), batch, keys).permute(0, 2, 3, 1)
        value = self._heads(self.value(keys_BSD), batch, keys).transpose(1, 2)
        position = self.position(positions_PD).reshape(-1, self.heads, self.head_width).permute(1, 2, 0)
        by_content = torch.matmul((query + self.content_bias).transpose(1, 2), key)
        by_position = torch.matmul((query + self.position_bias).transpose(1, 2), position)
        scores = by_content + shifted(by_position, self.heads, extents) + mask
        context = torch.matmul(torch.softmax(scores, dim=-1), value)
        context = context.transpose(1, 2).reshape(batch, queries, self.heads * self.head_width)
        if padding_BN is not None:
            context = context.masked_fill(padding_BN[:, :, None], 0.0)
        return self.out(context)
