"""The log-mel front end in plain torch, with NeMo's numbers. It is never exported: the runtime has its own.

samples_BN, lengths_B -> features_BMT, frames_B
"""

import math

import numpy as np
import torch

from .config import NORMALIZATION_EPSILON

# SOURCE: Slaney's Auditory Toolbox: linear below 1 kHz, 27 logarithmic steps for each factor of 6.4 above.
LINEAR_HZ_PER_MEL = 200.0 / 3
KNEE_HZ = 1000.0
LOG_STEP = math.log(6.4) / 27.0


def _mel_of(hz: float) -> float:
    if hz < KNEE_HZ:
        return hz / LINEAR_HZ_PER_MEL
    return KNEE_HZ / LINEAR_HZ_PER_MEL + math.log(hz / KNEE_HZ) / LOG_STEP


def _hz_of(mel: np.ndarray) -> np.ndarray:
    knee = KNEE_HZ / LINEAR_HZ_PER_MEL
    return np.where(mel < knee, mel * LINEAR_HZ_PER_MEL, KNEE_HZ * np.exp(LOG_STEP * (np.maximum(mel, knee) - knee)))


def filter_bank(features) -> torch.Tensor:
    """The triangles of `features` (a FeatureConfig), each of unit area: [mel_bins, fft_samples / 2 + 1]."""
    edges = _hz_of(np.linspace(_mel_of(features.mel_low_hz), _mel_of(features.mel_high_hz), features.mel_bins + 2))
    bins = np.linspace(0.0, features.sample_rate_hz / 2, features.fft_samples // 2 + 1)
    widths = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy((triangles * area[:, None]).astype(np.float32))


class LogMel(torch.nn.Module):
    """The front end of one model. One frame more than the valid length is returned, zeroed, as NeMo does."""

    def __init__(self, features):
        super().__init__()
        self.features = features
        self.register_buffer("window", torch.hann_window(features.window_samples, periodic=False))
        self.register_buffer("bank", filter_bank(features))

    def _power(self, samples_BN: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        config = self.features
        emphasised = torch.cat((samples_BN[:, :1], samples_BN[:, 1:] - config.pre_emphasis * samples_BN[:, :-1]), dim=1)
        outside = torch.arange(samples_BN.shape[1])[None] >= lengths_B[:, None]
        spectrum = torch.stft(
            emphasised.masked_fill(outside, 0.0), n_fft=config.fft_samples, hop_length=config.hop_samples,
            win_length=config.window_samples, window=self.window.to(samples_BN.dtype), center=True, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        return torch.view_as_real(spectrum).pow(2).sum(-1)

    def _normalised(self, logs_BMT: torch.Tensor, outside_B1T: torch.Tensor, frames_B: torch.Tensor) -> torch.Tensor:
        count = frames_B[:, None].to(logs_BMT.dtype)
        mean = logs_BMT.masked_fill(outside_B1T, 0.0).sum(2) / count
        centred = logs_BMT - mean[:, :, None]
        variance = centred.masked_fill(outside_B1T, 0.0).pow(2).sum(2) / (count - 1.0)
        # A single frame has no deviation: 0 / 0 counts as 0.
        deviation = variance.sqrt().nan_to_num(nan=0.0) + NORMALIZATION_EPSILON
        return centred / deviation[:, :, None]

    @torch.no_grad()
    def forward(self, samples_BN: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        frames_B = torch.div(lengths_B, self.features.hop_samples, rounding_mode="floor")
        power_BFT = self._power(samples_BN, lengths_B)
        logs_BMT = torch.log(torch.matmul(self.bank.to(power_BFT.dtype), power_BFT) + self.features.log_guard)
        outside_B1T = (torch.arange(logs_BMT.shape[2])[None] >= frames_B[:, None])[:, None]
        if self.features.normalization == "per_feature":
            logs_BMT = self._normalised(logs_BMT, outside_B1T, frames_B)
        return logs_BMT.masked_fill(outside_B1T, 0.0), frames_B
