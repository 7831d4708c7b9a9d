"""NeMo's CTC, asked stage by stage as oracle.py asks its transducers."""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from omegaconf import open_dict

from . import oracle
from .oracle import Transcript


@dataclass
class Ctc:
    """A CTC model of NeMo, or the CTC branch of a hybrid one: log-probabilities, and what greedy decoding makes of them."""

    model: object
    offsets: list = field(default_factory=list)

    def __post_init__(self):
        hybrid = hasattr(self.model, "ctc_decoder")
        decoding = copy.deepcopy(self.model.cfg.aux_ctc.decoding if hybrid else self.model.cfg.decoding)
        with open_dict(decoding):
            decoding.strategy = "greedy"
            decoding.compute_timestamps = True
            decoding.confidence_cfg = {
                "preserve_frame_confidence": True,
                "preserve_token_confidence": True,
                "preserve_word_confidence": False,
                "exclude_blank": True,
                "method_cfg": {"name": "max_prob", "alpha": 1.0},
            }
        self.model.change_decoding_strategy(decoding, **({"decoder_type": "ctc"} if hybrid else {}), verbose=False)
        self.model.eval()
        self.head = self.model.ctc_decoder if hybrid else self.model.decoder
        self.decoding = self.model.ctc_decoding if hybrid else self.model.decoding
        self._keep_offsets()

    def _keep_offsets(self) -> None:
        """NeMo tells the tokens and their offsets nowhere else: what it returns has punctuation moved, and ids decoded."""
        compute = self.decoding._compute_offsets

        def kept(*arguments):
            offsets = compute(*arguments)
            self.offsets.append(copy.deepcopy(offsets))
            return offsets

        self.decoding._compute_offsets = kept

    def encode(self, features_BMT: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities, the classes before the time, and their lengths."""
        encoded_BDT, lengths = oracle.encode(self.model, features_BMT, lengths_B)
        with torch.inference_mode():
            return self.head(encoder_output=encoded_BDT).transpose(1, 2), lengths

    def decode(self, log_probs_BCT: torch.Tensor, lengths_B: torch.Tensor) -> list[Transcript]:
        self.offsets.clear()
        found = self.decoding.ctc_decoder_predictions_tensor(
            log_probs_BCT.transpose(1, 2), decoder_lengths=lengths_B, return_hypotheses=True
        )
        return [_transcript(*pair) for pair in zip(oracle.timed(self.model, found), self.offsets, strict=True)]


def _plain(word: dict) -> dict:
    """The same with Python's own numbers in place of NumPy's."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in word.items()}


def _transcript(hypothesis, offsets: list[dict]) -> Transcript:
    return Transcript(
        tokens=[int(offset["char"]) for offset in offsets],
        frames=[int(offset["start_offset"]) for offset in offsets],
        durations=[int(offset["end_offset"] - offset["start_offset"]) for offset in offsets],
        confidence=[float(c) for c in hypothesis.token_confidence],
        text=hypothesis.text,
        words=[_plain(word) for word in hypothesis.timestamp["word"]],
    )
