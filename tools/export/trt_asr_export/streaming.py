"""How a stream is cut into chunks: NeMo's cache-aware streaming arithmetic.

Mel frames unless said. An encoded frame i is centred on mel frame factor * i, so the first chunk brings 1 + factor * lookahead frames and a
later one factor * (lookahead + 1), before which the last factor + 1 frames are given again for the convolutions of the subsampling.
"""

from dataclasses import dataclass

from .errors import ExportError


@dataclass(frozen=True)
class StreamingPlan:
    """The numbers of contract.json's `streaming`."""

    chunk_first: int
    chunk_next: int
    shift_first: int
    shift_next: int
    pre_encode: int
    drop_encoded_frames: int
    first_padding_frames: int
    output_frames: int
    cache_channel_frames: int
    cache_time_frames: int
    cache_drop_frames: int

    @property
    def input_frames(self) -> int:
        """Mel frames of every call: the first chunk has padding where later ones have earlier frames."""
        return self.pre_encode + self.chunk_next


def plan_of(subsampling: int, kernel_left: int, encoded: int, cache: int, cache_drop: int) -> StreamingPlan:
    """The plan of chunks of `encoded` frames with `cache` frames of left context, of which `cache_drop` are computed twice."""
    lookahead, pre_encode = encoded - 1, subsampling + 1
    shift = lookahead - cache_drop
    drop = 1 + (pre_encode - 1) // subsampling
    return StreamingPlan(
        1 + subsampling * lookahead, subsampling * encoded, 1 + subsampling * shift, subsampling * (shift + 1), pre_encode, drop,
        drop * subsampling, shift + 1, cache, kernel_left, cache_drop,
    )  # fmt: skip


def chunk_of_frames(text: str, subsampling: int) -> int:
    """--chunk-frames -> encoded frames of a chunk.

    One number is the new mel frames of a later chunk. Two are the first chunk's frames and a later one's, either without
    or with the frames that are given again ('41,48' and '41,57' are the same).
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        encoded, rest = divmod(numbers[0], subsampling)
    elif len(numbers) == 2 and numbers[1] - numbers[0] in (subsampling - 1, 2 * subsampling):
        encoded, rest = divmod(numbers[0] - 1, subsampling)
        encoded += 1
    else:
        encoded, rest = 0, 1
    if rest or encoded < 1:
        example = f"a multiple of {subsampling}, or a pair such as {1 + 5 * subsampling},{7 * subsampling + 1}"
        raise ExportError("--chunk-frames", example, text, "Count mel frames; see README.md")
    return encoded


def plan_for(config, context, chunk_frames: str | None, cache: int | None, cache_drop: int | None) -> StreamingPlan:
    """The plan for an encoder: NeMo's own where the options are None."""
    left, right = context
    encoded = drop = None
    if config.context_style == "chunked_limited" and right >= 0:
        encoded, drop = right + 1, 0
    elif config.context_style == "regular" and right >= 0:
        lookahead = (right + config.kernel_context[1]) * config.layers
        encoded, drop = lookahead + 1, lookahead
    if chunk_frames is not None:
        encoded, drop = chunk_of_frames(chunk_frames, config.subsampling), 0
    drop = drop if cache_drop is None else cache_drop
    cache = left if cache is None else cache
    if encoded is None:
        raise ExportError(
            "--chunk-frames",
            "a number, as this model was not trained for streaming",
            "none",
            "Pass --chunk-frames and --cache-size",
        )
    if cache < 1:
        raise ExportError(
            "--cache-size",
            "a number, as the model's left context is unlimited or none",
            str(cache),
            "Pass --cache-size 256, for instance",
        )
    if not 0 <= drop < encoded:
        raise ExportError(
            "--cache-drop-size", f"0 to {encoded - 1} encoded frames", str(drop), "It is a part of one chunk"
        )
    if config.kernel_context[0] < 1:
        raise ExportError(
            "encoder.conv_context_size",
            "a left context",
            "none",
            "A convolution of width 1 has no cache; export it offline",
        )
    if cache + encoded > config.frames_max:
        raise ExportError(
            "--cache-size",
            f"at most {config.frames_max - encoded}",
            str(cache),
            "Cache and chunk must fit pos_emb_max_len",
        )
    return plan_of(config.subsampling, config.kernel_context[0], encoded, cache, drop)
