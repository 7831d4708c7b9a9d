"""A random FastConformer-TDT of a few hundred kilobytes: all parts of the real architecture, for tests that are fast.

It hears nothing; its tokens, blanks, durations and repeats are only required to be lively and the same everywhere.
"""

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
from omegaconf import OmegaConf
from trt_asr_export.random_text import TEXT

PIECES = 352  # 256 byte pieces, <unk>, the letters of the text, and some dozens of merges
SEED = 42


@dataclass(frozen=True)
class TinyShape:
    """Sizes of the random model; the defaults are those of the committed fixtures."""

    mel_bins: int = 128
    normalize: str = "per_feature"
    width: int = 32
    layers: int = 2
    channels: int = 8
    predictor_width: int = 32
    predictor_layers: int = 2
    joint_width: int = 32
    frames_max: int = 400
    durations: tuple[int, ...] = (0, 1, 2, 3, 4)


def train_pieces(path: Path, pieces: int = PIECES) -> None:
    """Trains the SentencePiece BPE model with byte fallback on the exporter's own text and writes it to `path`."""
    sink = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.split("\n")),
        model_writer=sink,
        model_type="bpe",
        vocab_size=pieces,
        byte_fallback=True,
        character_coverage=1.0,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    path.write_bytes(sink.getvalue())


def configuration(shape: TinyShape, tokenizer_dir: Path):
    """The NeMo configuration of the model, in the form that Parakeet's own has."""
    return OmegaConf.create(
        {
            "sample_rate": 16000,
            "model_defaults": {
                "enc_hidden": shape.width,
                "pred_hidden": shape.predictor_width,
                "joint_hidden": shape.joint_width,
                "tdt_durations": list(shape.durations),
                "num_tdt_durations": len(shape.durations),
            },
            "tokenizer": {"dir": str(tokenizer_dir), "type": "bpe"},
            "preprocessor": {
                "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
                "sample_rate": 16000,
                "normalize": shape.normalize,
                "window_size": 0.025,
                "window_stride": 0.01,
                "window": "hann",
                "features": shape.mel_bins,
                "n_fft": 512,
                "frame_splicing": 1,
                "dither": 1e-5,
                "pad_to": 0,
            },
            "encoder": {
                "_target_": "nemo.collections.asr.modules.ConformerEncoder",
                "feat_in": shape.mel_bins,
                "feat_out": -1,
                "n_layers": shape.layers,
                "d_model": shape.width,
                "subsampling": "dw_striding",
                "subsampling_factor": 8,
                "subsampling_conv_channels": shape.channels,
                "causal_downsampling": False,
                "ff_expansion_factor": 1,
                "self_attention_model": "rel_pos",
                "n_heads": 2,
                "att_context_size": [-1, -1],
                "xscaling": False,
                "untie_biases": True,
                "pos_emb_max_len": shape.frames_max,
                "conv_kernel_size": 9,
                "conv_norm_type": "batch_norm",
                "use_bias": False,
                "dropout": 0.0,
                "dropout_emb": 0.0,
                "dropout_att": 0.0,
            },
            "decoder": {
                "_target_": "nemo.collections.asr.modules.RNNTDecoder",
                "normalization_mode": None,
                "random_state_sampling": False,
                "blank_as_pad": True,
                "prednet": {
                    "pred_hidden": shape.predictor_width,
                    "pred_rnn_layers": shape.predictor_layers,
                    "t_max": None,
                    "dropout": 0.0,
                },
            },
            "joint": {
                "_target_": "nemo.collections.asr.modules.RNNTJoint",
                "log_softmax": None,
                "num_extra_outputs": len(shape.durations),
                "jointnet": {"joint_hidden": shape.joint_width, "activation": "relu", "dropout": 0.0},
            },
            "decoding": {
                "strategy": "greedy_batch",
                "model_type": "tdt",
                "durations": list(shape.durations),
                "greedy": {"max_symbols": 10},
                "beam": {"beam_size": 2, "return_best_hypothesis": True},
            },
            "loss": {"loss_name": "warprnnt_numba", "warprnnt_numba_kwargs": {"fastemit_lambda": 0.0}},
        }
    )


# CONTRACT: the random model's own decode has blanks, several tokens a frame, long durations and the max-symbols guard.
# SOURCE: tried by hand with SEED on the golden clips, whose manifest counts each of these.
# WHY: at the initial scale every frame gives one and the same token, which tests nothing.
EMBEDDING_GAIN = 2.0
RECURRENT_GAIN = 2.0
ENCODER_STD = 1.5
PREDICTOR_STD = 1.0
LOGIT_STD = 3.0
BLANK_BIAS = 6.0
BYTE_BIAS = -4.0
ZERO_DURATION_BIAS = 2.0


def _reference_clips(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise whose loudness and colour change every 50 ms: samples_BN and lengths_B."""
    clips, samples, step = 4, 48000, 800
    loudness = torch.rand(clips, samples // step, generator=generator).repeat_interleave(step, dim=1) * 0.3
    noise = torch.randn(clips, samples, generator=generator)
    colour = torch.rand(clips, samples // step, generator=generator).repeat_interleave(step, dim=1)
    return loudness * (noise + colour * torch.roll(noise, 1, dims=1)), torch.full((clips,), samples)


def _standardise(linear: torch.nn.Linear, inputs: torch.Tensor, deviation: float) -> None:
    """Scales `linear` so that each output has zero mean and the given deviation over `inputs` of [N, width]."""
    outputs = linear(inputs)
    gain = deviation / outputs.std(dim=0)
    linear.bias.copy_((linear.bias - outputs.mean(dim=0)) * gain)
    linear.weight.mul_(gain.unsqueeze(1))


def _enliven_weights(model, generator: torch.Generator) -> None:
    for module in model.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0.0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.bias.normal_(0.0, 0.2, generator=generator)
    model.decoder.prediction["embed"].weight.mul_(EMBEDDING_GAIN)
    for name, parameter in model.decoder.prediction["dec_rnn"].named_parameters():
        if "weight" in name:
            parameter.mul_(RECURRENT_GAIN)


def _enliven_joint(model, generator: torch.Generator) -> None:
    samples, lengths = _reference_clips(generator)
    features, frames = model.preprocessor(input_signal=samples, length=lengths)
    encoded, _ = model.encoder(audio_signal=features, length=frames)
    _standardise(model.joint.enc, encoded.transpose(1, 2).flatten(0, 1), ENCODER_STD)
    vocabulary = model.decoder.blank_idx
    tokens = torch.randint(0, vocabulary, (16, 32), generator=generator)
    predicted, _ = model.decoder.predict(tokens, None, add_sos=True)
    _standardise(model.joint.pred, predicted.flatten(0, 1), PREDICTOR_STD)
    output = model.joint.joint_net[-1]
    frames = encoded.transpose(1, 2).flatten(0, 1)
    steps = predicted.flatten(0, 1)
    pairs = torch.randint(0, len(steps), (len(frames),), generator=generator)
    hidden = torch.relu(model.joint.enc(frames) + model.joint.pred(steps[pairs]))
    _standardise(output, hidden, LOGIT_STD)
    output.bias[vocabulary] += BLANK_BIAS
    output.bias[vocabulary + 1] += ZERO_DURATION_BIAS
    for piece in range(vocabulary):
        if model.tokenizer.tokenizer.is_byte(piece) or model.tokenizer.tokenizer.is_unknown(piece):
            output.bias[piece] += BYTE_BIAS


def build_tiny(folder: Path, shape: TinyShape = TinyShape(), seed: int = SEED):
    """Builds the random model in eval mode; the tokenizer's files are left in `folder`."""
    from nemo.collections.asr.models import EncDecRNNTBPEModel

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    train_pieces(folder / "tokenizer.model")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    listing = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
    for name in ("vocab.txt", "tokenizer.vocab"):
        (folder / name).write_text("\n".join(listing) + "\n", encoding="utf-8")
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    torch.manual_seed(seed)
    model = EncDecRNNTBPEModel(cfg=configuration(shape, folder))
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        _enliven_weights(model, generator)
        _enliven_joint(model, generator)
    return model
