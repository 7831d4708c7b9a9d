"""The exporter's own PyTorch modules, fed from the .nemo archive: the middle of the ladder."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from trt_asr_export import archive as archives
from trt_asr_export.checkpoint import Checkpoint
from trt_asr_export.config import read_config
from trt_asr_export.mel import LogMel
from trt_asr_export.model import build
from trt_asr_export.nn.encoder import StreamingEncoder
from trt_asr_export.tokenizer import load_pieces

from ..streaming import Caches
from ..words import Vocabulary
from .base import Side


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _load(path: Path, contract: dict):
    """The modules with the archive's weights, as the contract says they were exported."""
    with tempfile.TemporaryDirectory() as scratch, archives.opened(path, Path(scratch)) as opened:
        config = read_config(opened.config)
        pieces = load_pieces(opened.file(config.tokenizer_model, "tokenizer.model_path"))
        source = Checkpoint(archives.load_tensors(opened.weights))
        encoder = contract["encoder"]
        return build(config, pieces.get_piece_size(), source, tuple(encoder["attention_context"]), encoder["projected"])


class TorchSide(Side):
    """Modules and front end of trt_asr_export."""

    def __init__(self, path: Path, contract: dict, vocabulary: Vocabulary):
        super().__init__(contract, vocabulary)
        self.model = _load(path, contract)
        self.log_mel = LogMel(self.model.config.features)
        self.ctc = self.model.ctc if contract["decode"]["rule"] == "ctc" else None
        self.streaming = self._streaming() if self.plan else None

    def _streaming(self) -> StreamingEncoder:
        plan = SimpleNamespace(
            first_padding_frames=self.plan.first_padding_frames, drop_encoded_frames=self.plan.drop_next,
            cache_channel_frames=self.plan.cache_channel_frames, cache_drop_frames=self.plan.cache_drop_frames,
            output_frames=self.plan.output_frames,
        )  # fmt: skip
        return StreamingEncoder(self.model.encoder, plan)

    @torch.inference_mode()
    def features(self, samples: np.ndarray) -> np.ndarray:
        """The valid features_MT."""
        features, frames = self.log_mel(_tensor(samples)[None], torch.tensor([len(samples)]))
        return features[0, :, : int(frames[0])].numpy()

    def _output(self, encoded_BTD: torch.Tensor) -> np.ndarray:
        if self.ctc is not None:
            encoded_BTD = self.ctc(encoded_BTD)
        elif self.contract["encoder"]["projected"]:
            encoded_BTD = self.model.joint.encoded(encoded_BTD)
        return encoded_BTD.numpy()

    @torch.inference_mode()
    def encode(self, features_BMT: np.ndarray, lengths_B: np.ndarray):
        encoded, lengths = self.model.encoder(_tensor(features_BMT), _tensor(lengths_B))
        return self._output(encoded), lengths.numpy()

    @torch.inference_mode()
    def stream(self, features_BMT: np.ndarray, lengths_B: np.ndarray, caches: Caches, first: bool):
        given = (*self.plan.padded(features_BMT, lengths_B, first), *caches.__dict__.values())
        encoded, lengths, *after = self.streaming(*(_tensor(array) for array in given))
        return self._output(encoded), lengths.numpy(), Caches(*(cache.numpy() for cache in after))

    @torch.inference_mode()
    def predict(self, token_B1: np.ndarray, state_h: np.ndarray, state_c: np.ndarray):
        found = self.model.predictor(_tensor(token_B1), _tensor(state_h), _tensor(state_c))
        return tuple(tensor.contiguous().numpy() for tensor in found)

    @torch.inference_mode()
    def joint(self, encoded_B1D: np.ndarray, predicted_B1H: np.ndarray) -> np.ndarray:
        return self.model.joint(_tensor(encoded_B1D), _tensor(predicted_B1H)).numpy()
