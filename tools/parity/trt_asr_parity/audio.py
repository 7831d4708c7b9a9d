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

    def pcm(self) -> np.ndarray:
        """int16 samples."""
        whole = read_wav(REPOSITORY / self.wav)
        part = whole[self.offset : self.offset + self.samples]
        if len(part) != self.samples:
            raise ParityError(self.name, f"{self.offset + self.samples} samples in {Path(self.wav).name}", str(len(whole)),
                              "Give the file that was there before.")  # fmt: skip
        return part

    def read(self) -> np.ndarray:
        """float32 samples in [-1, 1)."""
        return waveform(self.pcm())


def waveform(pcm: np.ndarray) -> np.ndarray:
    """int16 samples -> float32 in [-1, 1)."""
    return pcm.astype(np.float32) / np.float32(32768)


def read_wav(path: Path) -> np.ndarray:
    """int16 samples of a 16 kHz mono file. Raises ParityError for a file that is missing, or of another form."""
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            frames = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ParityError(path.name, "a WAV file that can be read", str(error) or type(error).__name__, "Check the path.") from error
    if form != (16000, 1, 2):
        raise ParityError(path.name, "16 kHz, mono, 16 bit", str(form), "Convert the file first.")
    return np.frombuffer(frames, "<i2").astype(np.int16)


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
    """Whole files, named by their stem, so that no report carries a path of somebody's machine. Raises ParityError for two of one stem."""
    clips: dict[str, Clip] = {}
    for path in paths:
        if path.stem in clips:
            raise ParityError("--audio", "files of different names, by which reports tell them apart", f"{path.stem} twice", "Rename one.")
        clips[path.stem] = Clip(path.stem, str(path.resolve()), 0, len(read_wav(path)))
    return tuple(clips.values())
