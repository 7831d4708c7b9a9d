"""Goldens of the front end: samples -> log-mel, with NeMo's own float32 error as the yardstick."""

from pathlib import Path

import numpy as np
import torch

from . import oracle
from .audio import Clip, Pools
from .writer import SetWriter

ROWS_MAX = 12
TOLERANCE_MIN = {"none": 3e-4, "per_feature": 1e-3}
RAGGED = (1, 2, 159, 160, 161, 319, 320, 399, 400, 401, 511, 512, 513, 800, 12345, 16000, 16001)

CLIPS = (
    Clip("empty", "speech", 0, 0),
    Clip("speech.4s", "speech", 0, 64000),
    Clip("speech.12s", "speech", 1000, 192000),
    Clip("noise.4s", "noise", 0, 64000),
    Clip("tone.2s", "tone", 0, 32000),
    Clip("lsb.2s", "lsb", 0, 32000),
    Clip("silence.1s", "silence", 0, 16000),
    *(Clip(f"speech.{samples}", "speech", 8000, samples) for samples in RAGGED),
    *(Clip(f"noise.{samples}", "noise", 3000, samples) for samples in (161, 400, 801, 16001)),
)
# The 80-bin bank differs from the 128-bin one in its filters alone, so a few clips are enough.
CLIPS_80 = ("speech.4s", "noise.4s", "tone.2s", "silence.1s", "speech.160", "speech.401", "speech.12345")


def preprocessor(mel_bins: int, normalization: str):
    """NeMo's preprocessor as Parakeet configures it."""
    from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

    return AudioToMelSpectrogramPreprocessor(
        sample_rate=16000, window_size=0.025, window_stride=0.01, window="hann", n_fft=512, features=mel_bins,
        normalize="per_feature" if normalization == "per_feature" else "NA", frame_splicing=1, dither=1e-5, pad_to=0,
    ).eval()  # fmt: skip


def rows_of(frames: int) -> list[int]:
    """Which frames are stored: all of a short clip, else both ends and some between."""
    if frames <= ROWS_MAX:
        return list(range(frames))
    inner = np.linspace(3, frames - 4, ROWS_MAX - 6).round().astype(int)
    return sorted({0, 1, 2, *inner.tolist(), frames - 3, frames - 2, frames - 1})


def _case(out: SetWriter, clip: Clip, samples: np.ndarray, bins: int, normalization: str) -> None:
    name = f"{clip.name}.{bins}.{normalization}"
    if len(samples) == 0:
        out.record("case", name, clip.name, bins, normalization, 0, 0)
        return
    module = preprocessor(bins, normalization)
    batch = oracle.batch_of([samples])
    with torch.inference_mode():
        features, length = module(input_signal=batch[0], length=batch[1])
        exact, _ = oracle.Preprocessor64(module.featurizer)(*batch)
    valid = int(length[0])
    assert features.shape == (1, bins, 1 + len(samples) // 160), features.shape
    assert valid == len(samples) // 160
    assert not features[0, :, valid:].any()
    error = float((features[0, :, :valid].double() - exact[0, :, :valid]).abs().max()) if valid else 0.0
    out.record("case", name, clip.name, bins, normalization, valid, features.shape[2])
    rows = rows_of(valid)
    out.ints(name, "rows", rows)
    out.tensor(name, "features", features[0].T[rows].numpy())
    out.floats(name, "float32_error", [error])
    out.floats(name, "tolerance", [max(TOLERANCE_MIN[normalization], 3 * error)])


def make(pools: Pools, folder: Path) -> None:
    out = SetWriter(folder, "features", "log-mel of NeMo's AudioToMelSpectrogramPreprocessor", sample_rate_hz=16000)
    for clip in CLIPS:
        out.record("clip", clip.name, f"../audio/{clip.wav}.wav", clip.offset, clip.samples)
    for clip in CLIPS:
        samples = pools.read(clip)
        for bins in (128, 80) if clip.name in CLIPS_80 else (128,):
            for normalization in ("none", "per_feature"):
                _case(out, clip, samples, bins, normalization)
    out.close()
