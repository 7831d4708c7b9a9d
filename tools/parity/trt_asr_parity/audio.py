"""Real speech for the ladder: slices of 16 kHz mono 16-bit WAV files."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import ParityError

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Clip:
    """Samples [offset, offset + samples) of `wav`; the path is relative to the repository, or absolute for a user's own."""

    name: str
    wav: str
    offset: int
    samples: int

    def read(self) -> np.ndarray:
        """float32 samples in [-1, 1)."""
        whole = read_wav(REPOSITORY / self.wav)
        part = whole[self.offset : self.offset + self.samples]
        if len(part) != self.samples:
            raise ParityError(self.name, f"{self.offset + self.samples} samples in {self.wav}", str(len(whole)),
                              "Make the reference again.")  # fmt: skip
        return part


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if form != (16000, 1, 2):
            raise ParityError(path.name, "16 kHz, mono, 16 bit", str(form), "Convert the file first.")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)


# Ragged on purpose: lengths that are no multiple of hop, subsampling or chunk.
SPEECH = "test/fixtures/golden/audio/speech.wav"
WELCOME = "examples/welcome.wav"
SHORT_CLIPS = (
    Clip("speech.0s4", SPEECH, 4321, 6400),
    Clip("speech.0s7", SPEECH, 60007, 11201),
    Clip("speech.1s1", SPEECH, 120000, 17777),
)
LONG_CLIPS = (
    *SHORT_CLIPS,
    Clip("speech.5s", SPEECH, 1000, 81234),
    Clip("speech.13s", SPEECH, 0, 221075),
    Clip("welcome", WELCOME, 0, 56761),
)


def own_clips(paths: list[Path]) -> tuple[Clip, ...]:
    """Whole files, named by their stem, so that no report carries a path of somebody's machine."""
    return tuple(Clip(path.stem, str(path.resolve()), 0, len(read_wav(path))) for path in paths)
