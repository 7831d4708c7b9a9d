"""NeMo itself: the bottom of the ladder. The only file that imports it."""

import copy
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..errors import ParityError
from ..greedy import Transcript
from ..streaming import Caches
from ..words import Vocabulary, Word
from .base import Side


@dataclass
class NemoTranscript(Transcript):
    """A hypothesis of NeMo with the words that NeMo made of it."""

    words: list[Word] = field(default_factory=list)


def restore(archive: Path):
    """The archive's model in eval mode. Raises ParityError when NeMo is not installed."""
    try:
        from nemo.collections.asr.models import ASRModel
        from nemo.utils import logging as nemo_logging
    except ImportError as error:
        raise ParityError("NeMo", "an installed nemo_toolkit[asr]", str(error), "pip install -e 'tools/parity[nemo]'") from error

    logging.getLogger().setLevel(logging.ERROR)
    nemo_logging.setLevel(nemo_logging.ERROR)
    return ASRModel.restore_from(str(archive), map_location="cpu").eval()


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


class NemoSide(Side):
    """The contract says what the model is, and with it which head of a hybrid is asked."""

    def __init__(self, archive: Path, contract: dict, vocabulary: Vocabulary):
        super().__init__(contract, vocabulary)
        self.model = restore(archive)
        self.rule = contract["decode"]["rule"]
        hybrid = hasattr(self.model, "ctc_decoder")
        self.ctc_head = self.model.ctc_decoder if hybrid else self.model.decoder
        self._configure_decoding("ctc" if hybrid and self.rule == "ctc" else None)

    def _configure_decoding(self, branch: str | None) -> None:
        from omegaconf import open_dict

        told = self.model.cfg.aux_ctc.decoding if branch else self.model.cfg.decoding
        decoding = copy.deepcopy(told)
        with open_dict(decoding):
            decoding.strategy = "greedy_batch"
            decoding.preserve_alignments = False
            decoding.compute_timestamps = True
            decoding.tdt_include_token_duration = self.rule == "tdt"
            if self.rule != "ctc":
                decoding.greedy = {**decoding.greedy, "max_symbols": self.contract["decode"]["max_symbols_per_frame"]}
        self.model.change_decoding_strategy(decoding, **({"decoder_type": branch} if branch else {}), verbose=False)
        self.model.eval()
        self.decoding = self.model.ctc_decoding if branch else self.model.decoding

    @torch.inference_mode()
    def features(self, samples: np.ndarray) -> np.ndarray:
        lengths = torch.tensor([len(samples)])
        features, valid = self.model.preprocessor(input_signal=_tensor(samples)[None], length=lengths)
        return features[0, :, : int(valid[0])].numpy()

    @torch.inference_mode()
    def encode(self, features_BMT: np.ndarray, lengths_B: np.ndarray):
        encoded, lengths = self.model.encoder(audio_signal=_tensor(features_BMT), length=_tensor(lengths_B))
        return self._output(encoded), lengths.numpy()

    def _output(self, encoded_BDT: torch.Tensor) -> np.ndarray:
        """What our encoder graph ends in: encoded_BTD, its projection by the joint, or CTC's log probabilities."""
        if self.rule == "ctc":
            return self.ctc_head(encoder_output=encoded_BDT).numpy()
        encoded_BTD = encoded_BDT.transpose(1, 2)
        if self.contract["encoder"]["projected"]:
            encoded_BTD = self.model.joint.project_encoder(encoded_BTD)
        return encoded_BTD.contiguous().numpy()

    @contextmanager
    def _streaming_as_told(self, first: bool):
        """NeMo's own streaming numbers give way to the contract's; the first chunk has nothing to drop."""
        encoder, plan = self.model.encoder, self.plan
        before = encoder.streaming_cfg
        told = copy.copy(before)
        told.drop_extra_pre_encoded = 0 if first else plan.drop_next
        told.last_channel_cache_size = plan.cache_channel_frames
        told.valid_out_len = plan.output_frames
        told.cache_drop_size = plan.cache_drop_frames
        caching = [module for module in encoder.layers.modules() if hasattr(module, "_max_cache_len")]
        kept = [(module, module.cache_drop_size) for module in caching]
        encoder.streaming_cfg = told
        for module in caching:
            module.cache_drop_size = plan.cache_drop_frames
        try:
            yield encoder
        finally:
            encoder.streaming_cfg = before
            for module, drop in kept:
                module.cache_drop_size = drop

    @torch.inference_mode()
    def stream(self, features_BMT: np.ndarray, lengths_B: np.ndarray, caches: Caches, first: bool):
        with self._streaming_as_told(first) as encoder:
            given = [_tensor(array) for array in (features_BMT, lengths_B, *caches.__dict__.values())]
            encoder.update_max_seq_length(seq_length=given[0].size(2), device=given[0].device)
            encoded, lengths, *after = encoder.forward_for_export(
                audio_signal=given[0], length=given[1], cache_last_channel=given[2], cache_last_time=given[3],
                cache_last_channel_len=given[4],
            )  # fmt: skip
        return self._output(encoded), lengths.numpy(), Caches(*(cache.contiguous().numpy() for cache in after))

    @torch.inference_mode()
    def predict(self, token_B1: np.ndarray, state_h: np.ndarray, state_c: np.ndarray):
        state = [_tensor(state_h), _tensor(state_c)]
        predicted, (after_h, after_c) = self.model.decoder.predict(_tensor(token_B1), state, add_sos=False)
        return predicted.numpy(), after_h.numpy(), after_c.numpy()

    @torch.inference_mode()
    def joint(self, encoded_B1D: np.ndarray, predicted_B1H: np.ndarray) -> np.ndarray:
        """Logits: NeMo would add a log-softmax on a CPU."""
        joint = self.model.joint
        before, joint.log_softmax = joint.log_softmax, False
        try:
            encoded = _tensor(encoded_B1D)
            if not self.contract["encoder"]["projected"]:
                encoded = joint.project_encoder(encoded)
            predicted = joint.project_prednet(_tensor(predicted_B1H))
            return joint.joint_after_projection(encoded, predicted)[:, 0, 0].numpy()
        finally:
            joint.log_softmax = before

    def decode(self, rows: list[np.ndarray]) -> list[NemoTranscript]:
        """The rows as one batch, by NeMo's own decoder."""
        together = self._decode(rows)
        if self.rule != "tdt" or len(rows) == 1:
            return together
        # NeMo 2.7.3 overwrites durations of a batch (tdt_label_looping): those of single rows are right.
        alone = [self._decode([row])[0] for row in rows]
        for batch, single in zip(together, alone):
            if (batch.tokens, batch.frames) != (single.tokens, single.frames):
                raise ParityError("NeMo's decoder", "the same tokens alone and in a batch", "others", "Use steadier clips.")  # fmt: skip
        return alone

    @torch.inference_mode()
    def _decode(self, rows: list[np.ndarray]) -> list[NemoTranscript]:
        lengths = torch.tensor([len(row) for row in rows])
        encoded_BTD = torch.nn.utils.rnn.pad_sequence([_tensor(row) for row in rows], batch_first=True)
        if self.rule == "ctc":
            return self._decode_ctc(encoded_BTD, lengths)
        with self._projection_as_told():
            found = self.decoding.rnnt_decoder_predictions_tensor(encoded_BTD.transpose(1, 2), lengths, return_hypotheses=True)
        return [
            NemoTranscript(
                tokens=[int(token) for token in one.y_sequence],
                frames=[int(frame) for frame in one.timestamp["timestep"]],
                durations=[int(d) for d in one.token_duration] if self.rule == "tdt" else [],
                words=_words(one),
            )
            for one in found
        ]

    @contextmanager
    def _projection_as_told(self):
        """Where our encoder graph ends in the joint's projection, NeMo's decoder must not project once more."""
        joint = self.model.joint
        if self.contract["encoder"]["projected"]:
            joint.project_encoder = lambda encoded: encoded
        try:
            yield
        finally:
            joint.__dict__.pop("project_encoder", None)

    def _decode_ctc(self, log_probs_BTC: torch.Tensor, lengths: torch.Tensor) -> list[NemoTranscript]:
        (found,) = self.decoding.decoding(decoder_output=log_probs_BTC, decoder_lengths=lengths)
        out = []
        for one in self.decoding.decode_hypothesis(found, True):
            tokens, steps, _ = one.text
            one.text = (tokens, steps)
            self.decoding.compute_ctc_timestamps(one, "word")
            frames = np.cumsum(steps).tolist()
            out.append(NemoTranscript(tokens=[int(t) for t in tokens], frames=frames, words=_words(one)))
        return out

    def words(self, found: NemoTranscript) -> list[Word]:
        return found.words


def _words(hypothesis) -> list[Word]:
    told = hypothesis.timestamp["word"]
    return [Word(one["word"], int(one["start_offset"]), int(one["end_offset"])) for one in told]
