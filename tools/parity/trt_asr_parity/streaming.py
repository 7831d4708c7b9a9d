"""How features are cut into the chunks of a cache-aware encoder, and the loop that feeds its caches back."""

from dataclasses import dataclass

import numpy as np


# WHY 43: five encoder frames and a bit, so that a length is rounded as well as counted.
LACK_FRAMES_MAX = 43


@dataclass(frozen=True)
class StreamPlan:
    """The numbers of the contract's `streaming`; all in mel frames but the outputs and caches, which count encoder frames."""

    chunk_first: int
    chunk_next: int
    pre_encode_next: int
    drop_next: int
    output_frames: int
    cache_channel_frames: int
    cache_time_frames: int
    cache_drop_frames: int
    subsampling: int

    @staticmethod
    def of(contract: dict) -> "StreamPlan":
        told = contract["streaming"]
        return StreamPlan(
            told["chunk_frames"]["first"], told["chunk_frames"]["next"], told["pre_encode_frames"]["next"],
            told["drop_extra_encoded_frames"]["next"], told["output_frames"], told["cache_channel_frames"],
            told["cache_time_frames"], told["cache_drop_frames"], contract["encoder"]["subsampling"],
        )  # fmt: skip

    @property
    def first_padding_frames(self) -> int:
        """What a first chunk lacks to a later one: our graph takes it as padding, so that one graph serves both."""
        return self.drop_next * self.subsampling

    def padded(self, features_BMT: np.ndarray, lengths_B: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray]:
        if not first:
            return features_BMT, lengths_B
        ahead = self.first_padding_frames
        return np.pad(features_BMT, ((0, 0), (0, 0), (ahead, 0))), lengths_B + ahead

    def begin(self, chunk: int) -> int:
        """The frame at which a chunk begins, without what it looks back. A chunk whose tail the caches drop is given again."""
        again = self.cache_drop_frames * self.subsampling
        return 0 if chunk == 0 else self.chunk_first - again + (chunk - 1) * (self.chunk_next - again)

    def span(self, chunk: int) -> tuple[int, int]:
        """The frames [begin, end) that go into the graph for a chunk."""
        begin = self.begin(chunk)
        if chunk == 0:
            return 0, self.chunk_first
        return max(0, begin - self.pre_encode_next), begin + self.chunk_next

    def frames(self, chunks: int) -> int:
        return self.span(chunks - 1)[1]

    def lack(self, chunk: int) -> int:
        """How many frames a stream that ends early in `chunk` lacks of it: at most half of its own, and no multiple of the subsampling."""
        return min(LACK_FRAMES_MAX, (self.chunk_first if chunk == 0 else self.chunk_next) // 2)


@dataclass
class Caches:
    """cache_last_channel_BLKD, cache_last_time_BLDK and the count of valid frames in the first."""

    channel_BLKD: np.ndarray
    time_BLDK: np.ndarray
    channel_len_B: np.ndarray

    @staticmethod
    def empty(plan: StreamPlan, batch: int, layers: int, width: int) -> "Caches":
        return Caches(
            np.zeros((batch, layers, plan.cache_channel_frames, width), np.float32),
            np.zeros((batch, layers, width, plan.cache_time_frames), np.float32),
            np.zeros(batch, np.int64),
        )

    def outputs(self, plan: StreamPlan, lengths_B: np.ndarray) -> dict[str, np.ndarray]:
        """What is compared after a chunk of `lengths_B` valid encoder frames: one past its row's length means nothing, and is 0 here."""
        channel_BLKD = self.channel_BLKD.copy()
        for row, length in zip(channel_BLKD, lengths_B):
            missing = plan.output_frames - int(length)
            row[:, max(0, plan.cache_channel_frames - missing) :] = 0
        return {
            "cache_last_channel_next": channel_BLKD,
            "cache_last_time_next": self.time_BLDK,
            "cache_last_channel_len_next": self.channel_len_B,
        }


def rows_of(encoded_BTD: np.ndarray, lengths_B: np.ndarray) -> np.ndarray:
    """The valid frames of all rows under one another: what lies past a length means nothing and is not compared."""
    return np.concatenate([row[: int(length)] for row, length in zip(encoded_BTD, lengths_B)])


def closed_loop(side, plan: StreamPlan, features_BMT: np.ndarray, keep: list[int], caches: Caches, last_lacks: int = 0) -> dict:
    """Chunk after chunk through `side`, each with the caches of the one before; `keep` says whose output is returned.

    The stream ends `last_lacks` frames before the end of the last chunk; what the features hold there must not be heard.
    """
    kept, counts, wanted = [], [], set(keep)
    for chunk in range(max(keep) + 1):
        begin, end = plan.span(chunk)
        lengths_B = np.full(len(features_BMT), end - begin - (last_lacks if chunk == max(keep) else 0), np.int64)
        encoded, lengths, caches = side.stream(features_BMT[:, :, begin:end], lengths_B, caches, chunk == 0)
        if chunk in wanted:
            rows = rows_of(encoded, lengths)
            kept.append(rows)
            counts.append(len(rows))
    return {"encoded": np.concatenate(kept), "chunk_rows": np.array(counts, np.int64), **caches.outputs(plan, lengths)}
