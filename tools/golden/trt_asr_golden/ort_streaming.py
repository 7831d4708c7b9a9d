"""The exported streaming graph in the plainest closed loop: the check that a folder equals NeMo's streaming."""

from dataclasses import dataclass, field

import numpy as np

from .ort_model import OrtModel


@dataclass
class Cut:
    """How contract.json's `streaming` cuts the mel frames of one signal."""

    numbers: dict
    total: int

    def chunks(self):
        """(begin, end) of the new frames of each chunk; the last one is shorter."""
        begin = 0
        while begin < self.total:
            first = begin == 0
            end = begin + self.numbers["chunk_frames"]["first" if first else "next"]
            yield begin, min(end, self.total)
            begin += self.numbers["shift_frames"]["first" if first else "next"]

    def call(self, features_MT: np.ndarray, begin: int, end: int) -> tuple[np.ndarray, int]:
        """The graph's input of fixed extent for the chunk, and how many of its frames count."""
        frames = self.numbers["pre_encode_frames"]["next"] + self.numbers["chunk_frames"]["next"]
        before = self.numbers["pre_encode_frames"]["next"]
        padding = self.numbers["first_padding_frames"] if begin == 0 else max(before - begin, 0)
        taken = features_MT[:, (0 if begin == 0 else max(begin - before, 0)) : end]
        call = np.zeros((features_MT.shape[0], frames), np.float32)
        call[:, padding : padding + taken.shape[1]] = taken
        return call, padding + taken.shape[1]


@dataclass
class Streamed:
    """Encoder frames (log-probabilities for CTC), and [begin, frames, encoded] of each chunk."""

    encoded_TD: np.ndarray
    chunks: list[tuple[int, int, int]] = field(default_factory=list)


def empty_caches(contract: dict) -> list[np.ndarray]:
    """The caches of one stream at its start."""
    caches = []
    for port in contract["streaming"]["inputs"][2:]:
        shape = [1 if extent == "B" else extent for extent in port["shape"]]
        caches.append(np.zeros(shape, np.int64 if port["dtype"] == "i64" else np.float32))
    return caches


def stream(ort: OrtModel, features_MT: np.ndarray) -> Streamed:
    """All chunks of one signal through the streaming graph, the caches going round."""
    numbers = ort.contract["streaming"]
    names = [port["name"] for port in numbers["inputs"]]
    cut, caches = Cut(numbers, features_MT.shape[1]), empty_caches(ort.contract)
    found = Streamed(np.zeros((0, ort.contract["encoder"]["output_width"]), np.float32))
    encoded_frames = []
    for begin, end in cut.chunks():
        call, length = cut.call(features_MT, begin, end)
        inputs = dict(zip(names, [call[None], np.array([length]), *caches]))
        encoded, lengths, *caches = ort.streaming.run(None, inputs)
        encoded_frames.append(encoded[0, : int(lengths[0])])
        found.chunks.append((begin, end - begin, int(lengths[0])))
    if encoded_frames:
        found.encoded_TD = np.concatenate(encoded_frames)
    return found


class OrtStream(OrtModel):
    """An OrtModel that hears whole signals through its streaming graph; `chunks` are those of the last row it heard."""

    def encode(self, features_BMT: np.ndarray, lengths_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = [stream(self, features_MT[:, :length]) for features_MT, length in zip(features_BMT, lengths_B)]
        lengths = np.array([len(row.encoded_TD) for row in rows])
        encoded = np.zeros((len(rows), lengths.max(initial=0), rows[0].encoded_TD.shape[1]), np.float32)
        for number, row in enumerate(rows):
            encoded[number, : lengths[number]] = row.encoded_TD
        self.chunks = rows[-1].chunks
        return encoded, lengths
