"""The audio of the goldens: a few committed 16 kHz mono WAV pools, of which every clip is a slice."""

import io
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE_HZ = 16000


@dataclass(frozen=True)
class Clip:
    """Samples [offset, offset + samples) of the pool `wav`."""

    name: str
    wav: str
    offset: int
    samples: int


# (voice, speed in words a minute, pitch, text): texts of our own.
SPEECH = (
    ("en-us", 160, 50, "the ferry leaves at six and the harbour is still dark"),
    ("en-gb", 150, 45, "we carry the boxes to the quay and nobody speaks much"),
    ("en-us+f3", 170, 55, "later there is coffee and bread and a song on the radio"),
    ("en-gb-scotland", 145, 40, "one two three four five six"),
)


def espeak(voice: str, speed_wpm: int, pitch: int, text: str) -> np.ndarray:
    """espeak-ng's speech as float64 samples at 16 kHz."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed_wpm), "-p", str(pitch), "--stdout", text]
    sound, rate_hz = soundfile.read(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout))
    divisor = np.gcd(rate_hz, RATE_HZ)
    return resample_poly(sound, RATE_HZ // divisor, rate_hz // divisor)


def write_wav(path: Path, samples: np.ndarray) -> None:
    """int16 samples -> a WAV file with the plain 44-byte header."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples.astype("<i2").tobytes())


def to_int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def speech_pool_spans(utterances, pause_s: float, seed: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The utterances one after another, parted and framed by faint noise: int16 samples, and the span of each.

    A span reaches into the pauses around it by half a pause.
    """
    generator = np.random.default_rng(seed)
    pause = int(pause_s * RATE_HZ)
    parts, spans, at = [np.zeros(pause)], [], pause
    for utterance in utterances:
        sound = espeak(*utterance)
        parts += [sound, np.zeros(pause)]
        spans.append((at - pause // 2, at + len(sound) + pause // 2))
        at += len(sound) + pause
    sound = np.concatenate(parts)
    return to_int16(sound + generator.normal(0, 3e-4, sound.size)), spans


def make(folder: Path) -> None:
    """Writes the pools that the features and tiny sets are cut from."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(7)
    time = np.arange(2 * RATE_HZ)
    loudness = np.repeat(generator.uniform(0.002, 0.4, 80), 800)
    pools = {
        "speech": speech_pool_spans(SPEECH, 0.25, 7)[0],
        "noise": to_int16(loudness * generator.uniform(-1, 1, 4 * RATE_HZ)),
        "tone": np.round(32767 * np.sin(2 * np.pi * 1000 / RATE_HZ * time)),
        "lsb": generator.integers(-1, 2, 2 * RATE_HZ),
        "silence": np.zeros(RATE_HZ),
    }
    for name, samples in pools.items():
        write_wav(folder / f"{name}.wav", samples)


class Pools:
    """Reads clips from the WAV pools of one folder."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.cache: dict[str, np.ndarray] = {}

    def pool(self, name: str) -> np.ndarray:
        """The pool's samples as float32 in [-1, 1)."""
        if name not in self.cache:
            samples, rate_hz = soundfile.read(self.folder / f"{name}.wav", dtype="int16")
            assert rate_hz == RATE_HZ
            self.cache[name] = samples.astype(np.float32) / np.float32(32768)
        return self.cache[name]

    def read(self, clip: Clip) -> np.ndarray:
        samples = self.pool(clip.wav)[clip.offset : clip.offset + clip.samples]
        assert len(samples) == clip.samples, f"{clip} passes the end of its pool"
        return samples
