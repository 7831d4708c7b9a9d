"""NeMo's cache-aware streaming in a closed loop: its own buffer cuts the chunks, its own step encodes and decodes them.

The features are computed over the whole signal at once (they are not normalised, so a frame depends on its own window
alone), and then cut. Greedy decoding goes on from chunk to chunk by NeMo's partial hypotheses, or by the last predictions
for CTC.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer

from . import oracle
from .oracle_ctc import Ctc


@dataclass
class Chunk:
    """Mel frames [begin, begin + frames) are new; they gave `encoded` encoder frames, and then `tokens` tokens in all."""

    begin: int
    frames: int
    encoded: int
    tokens: int


@dataclass
class Stream:
    """One signal through NeMo's loop.

    The last `left_out` mel frames are no chunk to NeMo's buffer; they were given to the step all the same.
    """

    features_MT: np.ndarray
    encoded_TD: np.ndarray
    chunks: list[Chunk]
    transcript: oracle.Transcript
    left_out: int


def features_of(model, samples: np.ndarray) -> torch.Tensor:
    """features_1MT of the valid frames alone: floor(samples / hop)."""
    features, lengths = oracle.features_of(model, [samples])
    return features[:, :, : int(lengths[0])]


class _Loop:
    """The state that NeMo's own examples carry from chunk to chunk."""

    def __init__(self, nemo, padded: bool):
        self.nemo, self.model, self.padded = nemo, nemo.model, padded
        self.caches = self.model.encoder.get_initial_cache_state(batch_size=1)
        self.previous, self.predictions = None, None
        self.encoded_TD, self.chunks = [], []

    def take(self, chunk_1MT: torch.Tensor, lengths_1: torch.Tensor, begin: int, end: int, last: bool) -> None:
        """`chunk_1MT` with the frames [begin, end) and those before them that the subsampling reaches."""
        drop = self.model.encoder.streaming_cfg.drop_extra_pre_encoded if self.chunks or self.padded else 0
        with torch.inference_mode():
            self.predictions, _, *self.caches, self.previous = self.model.conformer_stream_step(
                processed_signal=chunk_1MT, processed_signal_length=lengths_1, cache_last_channel=self.caches[0],
                cache_last_time=self.caches[1], cache_last_channel_len=self.caches[2], keep_all_outputs=last,
                previous_hypotheses=self.previous, previous_pred_out=self.predictions, drop_extra_pre_encoded=drop,
                return_transcription=not isinstance(self.nemo, Ctc),
            )  # fmt: skip
        self.chunks.append(Chunk(begin, end - begin, len(self.encoded_TD[-1]), len(self.tokens())))

    def keep(self, encoded: tuple) -> None:
        """What the encoder gave: NeMo's step hands it to the decoder alone."""
        self.encoded_TD.append(encoded[0][0, :, : int(encoded[1][0])].T.clone())

    def tokens(self) -> list[int]:
        if isinstance(self.nemo, Ctc):
            labels = torch.unique_consecutive(self.predictions[0]).tolist()
            return [label for label in labels if label != self.model.decoder.num_classes_with_blank - 1]
        return [int(token) for token in self.previous[0].y_sequence]


def _set_up(nemo) -> None:
    """Chunks as the model was trained for. NeMo cannot merge hypotheses that have the times of words, so there are none."""
    nemo.model.encoder.setup_streaming_params()
    if isinstance(nemo, Ctc):
        return
    decoding = copy.deepcopy(nemo.model.cfg.decoding)
    decoding.compute_timestamps, decoding.preserve_alignments = False, False
    decoding.confidence_cfg.preserve_frame_confidence = decoding.confidence_cfg.preserve_token_confidence = False
    nemo.model.change_decoding_strategy(decoding, verbose=False)
    nemo.model.eval()


def _tail(features_1MT: torch.Tensor, begin: int, before: int) -> torch.Tensor:
    """The frames from `begin` on with `before` frames before them, as NeMo's buffer gives them: zeros where there are none."""
    given = features_1MT[:, :, max(begin - before, 0) :]
    return torch.nn.functional.pad(given, (max(before - begin, 0), 0))


def _through_chunks(loop: _Loop, features_1MT: torch.Tensor) -> int:
    """Runs the loop over all frames and returns how many NeMo's buffer would have left out at the end."""
    config, total, end = loop.model.encoder.streaming_cfg, features_1MT.shape[2], 0
    buffer = CacheAwareStreamingAudioBuffer(model=loop.model, online_normalization=False, pad_and_drop_preencoded=loop.padded)
    buffer.append_processed_signal(features_1MT, stream_id=-1)
    for chunk_1MT, lengths_1 in buffer:
        begin, end = end, min(total, end + config.chunk_size[1 if loop.chunks or loop.padded else 0])
        assert buffer.buffer_idx >= end, "expected chunks that do not overlap"
        loop.take(chunk_1MT, lengths_1, begin, end, last=buffer.is_buffer_empty())
    if end < total:
        chunk_1MT = _tail(features_1MT, end, config.pre_encode_cache_size[1])
        loop.take(chunk_1MT, torch.tensor([chunk_1MT.shape[2]]), end, total, last=True)
    return total - end


def _whole(nemo, encoded_1DT: torch.Tensor) -> tuple[oracle.Transcript, torch.Tensor]:
    """NeMo's greedy decoding of all encoder frames at once, and what it decoded: encoder frames, or log-probabilities.

    It tells durations, confidence and words, which a merged hypothesis does not.
    """
    fresh = type(nemo)(nemo.model)
    if isinstance(fresh, Ctc):
        with torch.inference_mode():
            encoded_1DT = fresh.head(encoder_output=encoded_1DT).transpose(1, 2)
    return fresh.decode(encoded_1DT, torch.tensor([encoded_1DT.shape[2]]))[0], encoded_1DT


def run(nemo, features_1MT: torch.Tensor, padded: bool = False) -> Stream:
    """NeMo (an oracle.Transducer or oracle_ctc.Ctc of a cache-aware model) over the features of one signal, chunk by chunk.

    `padded`: the first chunk is as long as any, behind zeros, as NeMo's buffer has it for exported graphs.

    Raises AssertionError when decoding chunk by chunk finds other tokens than decoding the same encoder frames at once.
    """
    if features_1MT.shape[2] == 0:
        nothing = oracle.Transcript([], [], [], [], "", [])
        return Stream(features_1MT[0].numpy(), np.zeros((0, 1), np.float32), [], nothing, 0)
    _set_up(nemo)
    loop, encoder = _Loop(nemo, padded), nemo.model.encoder
    step = encoder.cache_aware_stream_step

    def kept(**arguments):
        found = step(**arguments)
        loop.keep(found)
        return found

    encoder.cache_aware_stream_step = kept
    try:
        left_out = _through_chunks(loop, features_1MT)
    finally:
        del encoder.cache_aware_stream_step
    transcript, encoded_1CT = _whole(nemo, torch.cat(loop.encoded_TD).T[None])
    assert loop.tokens() == transcript.tokens, (loop.tokens(), transcript.tokens)
    if not isinstance(nemo, Ctc):
        assert [int(t) for t in loop.previous[0].timestamp] == transcript.frames
    return Stream(features_1MT[0].numpy(), encoded_1CT[0].T.numpy(), loop.chunks, transcript, left_out)
