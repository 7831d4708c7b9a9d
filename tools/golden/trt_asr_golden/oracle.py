"""NeMo itself, asked stage by stage: the source of every golden."""

import copy
from dataclasses import dataclass

import librosa
import numpy as np
import torch
from nemo.collections.asr.parts.utils.timestamp_utils import process_timestamp_outputs
from omegaconf import OmegaConf, open_dict


@dataclass
class Transcript:
    """One hypothesis of NeMo's greedy_batch decoder; words carry frames and seconds."""

    tokens: list[int]
    frames: list[int]
    durations: list[int]
    confidence: list[float]
    text: str
    words: list[dict]


def configure_decoding(model) -> None:
    """greedy_batch with durations, word times and max_prob confidence of the tokens alone."""
    decoding = copy.deepcopy(model.cfg.decoding)
    with open_dict(decoding):
        decoding.strategy = "greedy_batch"
        decoding.preserve_alignments = True
        decoding.compute_timestamps = True
        decoding.tdt_include_token_duration = True
        decoding.greedy = {
            **OmegaConf.to_container(decoding.greedy),
            "max_symbols": decoding.greedy.get("max_symbols") or 10,
        }
        decoding.confidence_cfg = {
            "preserve_frame_confidence": True,
            "preserve_token_confidence": True,
            "preserve_word_confidence": False,
            "exclude_blank": True,
            "tdt_include_duration": False,
            "method_cfg": {"name": "max_prob", "alpha": 1.0},
        }
    model.change_decoding_strategy(decoding, verbose=False)
    model.eval()


def batch_of(clips: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 clips of ragged lengths -> zero-padded samples_BN, lengths_B."""
    lengths = [len(clip) for clip in clips]
    samples = torch.zeros(len(clips), max(lengths))
    for row, clip in enumerate(clips):
        samples[row, : len(clip)] = torch.from_numpy(clip)
    return samples, torch.tensor(lengths)


def features_of(model, clips: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """NeMo's features_BMT (one frame longer than the longest valid length) and valid lengths_B."""
    samples, lengths = batch_of(clips)
    with torch.inference_mode():
        return model.preprocessor(input_signal=samples, length=lengths)


def encode(model, features_BMT: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """NeMo's encoded_BDT and encoded lengths."""
    with torch.inference_mode():
        return model.encoder(audio_signal=features_BMT, length=lengths_B)


def timed(model, hypotheses):
    """NeMo's hypotheses with seconds beside the frames of their words."""
    stride_s = model.preprocessor.featurizer.hop_length / model.preprocessor.featurizer.sample_rate
    return process_timestamp_outputs(hypotheses, int(model.cfg.encoder.subsampling_factor), stride_s)


def decode(model, encoded_BDT: torch.Tensor, lengths_B: torch.Tensor) -> list[Transcript]:
    """NeMo's greedy_batch on an encoded batch; configure_decoding must have been called."""
    hypotheses = model.decoding.rnnt_decoder_predictions_tensor(encoded_BDT, lengths_B, return_hypotheses=True)
    return [_transcript(hypothesis) for hypothesis in timed(model, hypotheses)]


def _transcript(hypothesis) -> Transcript:
    tokens = [int(t) for t in hypothesis.y_sequence]
    # An RNN-T's list of durations stays empty; NeMo's offsets give each of its tokens one frame.
    durations = hypothesis.token_duration
    if durations is None or len(durations) == 0:
        durations = [1] * len(tokens)
    return Transcript(
        tokens=tokens,
        frames=[int(t) for t in hypothesis.timestamp["timestep"]],
        durations=[int(d) for d in durations],
        # NeMo walks the frames backwards and turns the list round at the end.
        confidence=[float(c) for c in hypothesis.token_confidence],
        text=hypothesis.text,
        words=hypothesis.timestamp["word"],
    )


@dataclass
class Transducer:
    """A TDT or RNN-T model of NeMo: its encoder's frames, and what greedy_batch makes of them."""

    model: object

    def __post_init__(self):
        configure_decoding(self.model)

    def encode(self, features_BMT: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return encode(self.model, features_BMT, lengths_B)

    def decode(self, encoded_BDT: torch.Tensor, lengths_B: torch.Tensor) -> list[Transcript]:
        return decode(self.model, encoded_BDT, lengths_B)


def predict(model, tokens: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The predictor after the start symbol and after each token: predicted_SH, state_h_SLH, state_c_SLH."""
    outputs, states_h, states_c = [], [], []
    state = None
    with torch.inference_mode():
        for token in [model.decoder.blank_idx, *tokens]:
            predicted, state = model.decoder.predict(torch.tensor([[token]]), state, add_sos=False)
            outputs.append(predicted[0, 0].numpy())
            states_h.append(state[0][:, 0].numpy())
            states_c.append(state[1][:, 0].numpy())
    return np.stack(outputs), np.stack(states_h), np.stack(states_c)


def joint_logits(model, encoded_D: np.ndarray, predicted_H: np.ndarray) -> np.ndarray:
    """NeMo's joint without the log-softmax that it adds on a CPU: logits of V+1+K."""
    before = model.joint.log_softmax
    model.joint.log_softmax = False
    try:
        with torch.inference_mode():
            encoded, predicted = torch.from_numpy(encoded_D), torch.from_numpy(predicted_H)
            return model.joint.joint(encoded[None, None], predicted[None, None])[0, 0, 0].numpy()
    finally:
        model.joint.log_softmax = before


class Preprocessor64(torch.nn.Module):
    """NeMo's own FilterbankFeatures code in float64, with window and filter bank computed in float64 too."""

    def __init__(self, featurizer):
        super().__init__()
        self.featurizer = copy.deepcopy(featurizer).double()
        bank = librosa.filters.mel(
            sr=featurizer.sample_rate, n_fft=featurizer.n_fft, n_mels=featurizer.nfilt, fmin=0, fmax=None,
            norm="slaney", dtype=np.float64,
        )  # fmt: skip
        self.featurizer.fb = torch.from_numpy(bank)[None]
        window = torch.hann_window(featurizer.win_length, periodic=False, dtype=torch.float64)
        # NeMo's stft casts its window to float32, which torch.stft refuses beside float64 samples.
        self.featurizer.stft = lambda x: torch.stft(
            x, n_fft=featurizer.n_fft, hop_length=featurizer.hop_length, win_length=featurizer.win_length,
            center=True, window=window, return_complex=True, pad_mode="constant",
        )  # fmt: skip

    def forward(self, samples_BN: torch.Tensor, lengths_B: torch.Tensor):
        return self.featurizer(samples_BN.double(), lengths_B)
