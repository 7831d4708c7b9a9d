"""The encoder, whole utterances and chunk by chunk."""

import torch
from torch import nn

from .attention import UNSEEN, Extents, position_table
from .basic import Linear
from .conformer import Layer
from .subsampling import Subsampling, outside_BN


def reachable(context: tuple[int, int], style: str, queries, keys, cached: int):
    """[N, S] True where a query may see a key by its distance alone; None when every key may be seen."""
    left, right = context
    if (left, right) == (-1, -1):
        return None
    query_N1 = (torch.arange(queries) + cached)[:, None]
    key_1S = torch.arange(keys)[None]
    if style == "chunked_limited":
        # Whole chunks: a query sees its own chunk, also the later frames of it, and so many chunks before.
        chunk = right + 1
        apart = torch.div(query_N1, chunk, rounding_mode="trunc") - torch.div(key_1S, chunk, rounding_mode="trunc")
        near = apart >= 0
        return near if left < 0 else near & (apart <= left // chunk)
    allowed = None
    if left >= 0:
        allowed = key_1S >= query_N1 - left
    if right >= 0:
        ahead = key_1S <= query_N1 + right
        allowed = ahead if allowed is None else allowed & ahead
    return allowed


def score_mask(hidden_BS: torch.Tensor, allowed_NS: torch.Tensor | None) -> torch.Tensor:
    """What is added to scores of [B, heads, N, S]."""
    hidden = hidden_BS[:, None, None, :]
    if allowed_NS is not None:
        hidden = hidden | ~allowed_NS[None, None]
    return hidden.to(torch.float32) * UNSEEN


class Positions(nn.Module):
    """The table of relative positions that queries and keys of up to `frames_max` encoder frames reach."""

    def __init__(self, frames_max: int, width: int):
        super().__init__()
        self.frames_max = frames_max
        self.register_buffer("table", position_table(frames_max, width))

    def forward(self, queries, keys) -> torch.Tensor:
        """The distances from keys - 1 to -queries: all that a query reaches, and one more for `shifted`."""
        return self.table[self.frames_max - keys : self.frames_max + queries]


class Encoder(nn.Module):
    """features_BMT, lengths_B -> encoded_BND, encoded_lengths_B. `context` is one of config.contexts."""

    def __init__(self, config, context: tuple[int, int] | None = None):
        super().__init__()
        self.config = config
        self.context = context or config.contexts[0]
        self.subsampling = Subsampling(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.projection = Linear(config.width, config.output_width) if config.output_width != config.width else None
        self.positions = Positions(config.frames_max, config.width)

    def take(self, source, name: str = "encoder") -> "Encoder":
        self.subsampling.take(source, f"{name}.pre_encode")
        for index, layer in enumerate(self.layers):
            layer.take(source, f"{name}.layers.{index}")
        if self.projection is not None:
            self.projection.take(source, f"{name}.out_proj")
        return self

    def forward(self, features_BMT, lengths_B):
        x, lengths_B, _ = self.subsampling(features_BMT, lengths_B)
        frames = x.size(1)
        extents = Extents(x.size(0), frames, frames)
        padding_BN = outside_BN(frames, lengths_B, None)
        mask = score_mask(padding_BN, reachable(self.context, self.config.context_style, frames, frames, 0))
        positions = self.positions(frames, frames)
        for layer in self.layers:
            x = layer(x, positions, mask, padding_BN, extents)
        return (x if self.projection is None else self.projection(x)), lengths_B


class StreamingEncoder(nn.Module):
    """One chunk of a stream, with NeMo's caches: cache_last_channel_BLKD, cache_last_time_BLDK, cache_last_channel_len_B.

    A row whose cache length is 0 is at the start of its stream: its first plan.first_padding_frames mel frames are padding, which is
    zeroed after every convolution. So the first chunk, which NeMo gives no earlier frames, and the later ones, of which NeMo drops
    the encoded frames that only earlier mel frames reach, go through one graph, in one batch.
    """

    def __init__(self, encoder: Encoder, plan):
        super().__init__()
        self.encoder, self.plan = encoder, plan
        # What a chunk reaches is far less than what a whole utterance does.
        reach = plan.cache_channel_frames + plan.output_frames + plan.cache_drop_frames
        self.positions = Positions(reach, encoder.config.width)

    def forward(self, features_BMT, lengths_B, cache_BLKD, cache_BLDK, cache_lengths_B):
        plan, encoder = self.plan, self.encoder
        first_B = (cache_lengths_B == 0).to(torch.int64) * plan.first_padding_frames
        x, lengths_B, _ = encoder.subsampling(features_BMT, lengths_B, first_B)
        x = x[:, plan.drop_encoded_frames :]
        lengths_B = (lengths_B - plan.drop_encoded_frames).clamp(min=0)
        frames, cached = x.size(1), plan.cache_channel_frames
        extents = Extents(x.size(0), frames, frames + cached)
        padding_BN = outside_BN(frames, lengths_B, None)
        hidden_BS = outside_BN(frames + cached, lengths_B + cached, cached - cache_lengths_B)
        allowed = reachable(encoder.context, encoder.config.context_style, frames, frames + cached, cached)
        mask = score_mask(hidden_BS, allowed)
        positions = self.positions(frames, frames + cached)
        channels, times = [], []
        for index, layer in enumerate(encoder.layers):
            cache = cache_BLKD[:, index], cache_BLDK[:, index]
            x, channel, time = layer.step(x, positions, mask, padding_BN, extents, *cache, plan.cache_drop_frames)
            channels.append(channel)
            times.append(time)
        x = x if encoder.projection is None else encoder.projection(x)
        next_lengths = (cache_lengths_B + (frames - plan.cache_drop_frames)).clamp(max=cached)
        out = x[:, : plan.output_frames], lengths_B.clamp(max=plan.output_frames)
        return (*out, torch.stack(channels, dim=1), torch.stack(times, dim=1), next_lengths)
