"""NeMo EncDecRNNTBPEModel with token-and-duration output -> the three model folders that trt-asr loads.

Layouts end tensor names: B batch, M mel bins, T mel frames, T' = ceil(T/8) encoder frames, D encoder width,
L predictor layers, H predictor width, V vocabulary without blank, K durations.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from nemo.collections.asr.modules.rnnt import RNNTDecoderJoint

from . import onnx_files

# SOURCE: the opset NeMo 2.7 itself exports with. WHY: LayerNormalization is in it, and TensorRT 10.11 reads it.
OPSET = 17

# SOURCE: nemo/collections/asr/parts/preprocessing/features.py, CONSTANT, added to the standard deviation.
NORMALIZATION_EPSILON = 1e-5


class UnsupportedModel(ValueError):
    """The model is of a kind that the contract cannot express; the message names the field."""


class EncoderBTD(torch.nn.Module):
    """features_BMT, lengths_B -> encoded_BTD, encoded_lengths_B."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, features, lengths):
        # forward_internal skips the growth of the position table, which must stay as long as the contract says.
        encoded_BDT, encoded_lengths = self.encoder.forward_internal(features, lengths)
        return encoded_BDT.transpose(1, 2), encoded_lengths


class Predictor(torch.nn.Module):
    """token_B1, state_h_LBH, state_c_LBH -> predicted_B1H, next_state_h_LBH, next_state_c_LBH.

    The start of an utterance is the blank id with zero states: the embedding's padding row is zero.
    """

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, token, state_h, state_c):
        predicted, (next_h, next_c) = self.decoder.predict(token, (state_h, state_c), add_sos=False)
        return predicted, next_h, next_c


class Joint(torch.nn.Module):
    """encoded_B1D, predicted_B1H -> logits of [B, V+1+K], raw: no softmax, tokens then blank then durations."""

    def __init__(self, joint):
        super().__init__()
        self.joint = joint

    def forward(self, encoded, predicted):
        hidden = self.joint.enc(encoded) + self.joint.pred(predicted)
        return self.joint.joint_net(hidden).squeeze(1)


def _require(field: str, expected, received) -> None:
    if received != expected:
        raise UnsupportedModel(f"expected {expected!r} for {field} but received {received!r}")


def durations_of(model) -> list[int]:
    """The duration of each of the joint's K last outputs, in encoder frames."""
    durations = [int(d) for d in (model.cfg.decoding.get("durations") or [])]
    if not durations:
        durations = [int(d) for d in model.cfg.get("model_defaults", {}).get("tdt_durations", [])]
    if len(durations) != model.joint.num_extra_outputs or not durations:
        raise UnsupportedModel(
            f"expected {model.joint.num_extra_outputs} durations (joint.num_extra_outputs) but received {durations}"
        )
    return durations


def _check(model) -> None:
    encoder, features = model.cfg.encoder, model.cfg.preprocessor
    _require("encoder.self_attention_model", "rel_pos", encoder.get("self_attention_model", "rel_pos"))
    _require("encoder.subsampling_factor", 8, encoder.subsampling_factor)
    _require("preprocessor.window", "hann", features.get("window", "hann"))
    _require("preprocessor.log", True, features.get("log", True))
    _require("preprocessor.frame_splicing", 1, features.get("frame_splicing", 1))
    _require("preprocessor.mag_power", 2.0, float(features.get("mag_power", 2.0)))
    _require("preprocessor.exact_pad", False, features.get("exact_pad", False))
    _require("preprocessor.mel_norm", "slaney", features.get("mel_norm", "slaney"))
    _require("preprocessor.log_zero_guard_type", "add", features.get("log_zero_guard_type", "add"))
    _require("decoder.blank_as_pad", True, model.decoder.blank_as_pad)
    _require("training mode", False, model.training)
    _require("joint adapters", False, model.joint.is_adapter_available())


def _features(model) -> dict:
    featurizer = model.preprocessor.featurizer
    normalize = featurizer.normalize
    if normalize == "all_features" or isinstance(normalize, dict):
        raise UnsupportedModel(f"expected 'per_feature' or none for preprocessor.normalize but received {normalize!r}")
    low = model.cfg.preprocessor.get("lowfreq", 0) or 0
    high = model.cfg.preprocessor.get("highfreq", None) or featurizer.sample_rate / 2
    return {
        "sample_rate_hz": int(featurizer.sample_rate),
        "mel_bins": int(featurizer.nfilt),
        "fft_samples": int(featurizer.n_fft),
        "window_samples": int(featurizer.win_length),
        "hop_samples": int(featurizer.hop_length),
        "pre_emphasis": float(featurizer.preemph or 0.0),
        "mel_low_hz": int(low),
        "mel_high_hz": int(high),
        "log_guard": float(featurizer.log_zero_guard_value),
        "normalization": "per_feature" if normalize == "per_feature" else "none",
        "normalization_epsilon": NORMALIZATION_EPSILON,
    }


def contract_of(model, name: str, languages=("en",), license="Apache-2.0") -> dict:
    """contract.json of `model` without the hashes of its files. Every number is the model's own."""
    _check(model)
    vocabulary = model.tokenizer.tokenizer.get_piece_size()
    return {
        "schema": "trt-asr-contract/1",
        "model": {"name": name, "architecture": "fastconformer-tdt", "languages": list(languages), "license": license},
        "features": _features(model),
        "encoder": {
            "file": "encoder.onnx",
            "width": int(model.cfg.encoder.d_model),
            "subsampling": int(model.cfg.encoder.subsampling_factor),
            "frames_max": int(model.cfg.encoder.get("pos_emb_max_len", 5000)),
        },
        "predictor": {
            "file": "predictor.onnx",
            "layers": int(model.decoder.pred_rnn_layers),
            "width": int(model.decoder.pred_hidden),
        },
        "joint": {"file": "joint.onnx"},
        "tokenizer": {
            "file": "vocab.txt",
            "vocabulary": vocabulary,
            "unk_id": int(model.tokenizer.tokenizer.unk_id()),
        },
        "decode": {
            "blank_id": vocabulary,
            "durations": durations_of(model),
            "max_symbols_per_frame": int(model.cfg.decoding.greedy.get("max_symbols", None) or 10),
        },
    }


def _write_vocabulary(model, path: Path) -> None:
    pieces = model.tokenizer.tokenizer
    lines = [f"{pieces.id_to_piece(i)} {i}" for i in range(pieces.get_piece_size())]
    lines.append(f"<blk> {pieces.get_piece_size()}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fix_position_table(encoder, frames_max: int) -> None:
    """Rebuilds the sinusoids for exactly `frames_max` encoder frames: NeMo's table grows with the audio it has seen."""
    positions = torch.arange(frames_max - 1, -frames_max, -1, dtype=torch.float32).unsqueeze(1)
    encoder.pos_enc.create_pe(positions=positions, dtype=next(encoder.parameters()).dtype)


def _export(module, path: Path, inputs: dict, outputs: list[str], dynamic: dict) -> list[Path]:
    module.eval()
    with torch.inference_mode():
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=dynamic,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    return onnx_files.pack(path)


@dataclass(frozen=True)
class _Modules:
    """Copies in eval mode: neither the exporter nor the position table's length may touch the caller's model."""

    encoder: torch.nn.Module
    decoder: torch.nn.Module
    joint: torch.nn.Module


def _frozen_copy(model) -> _Modules:
    encoder, decoder, joint = (copy.deepcopy(part).cpu().eval() for part in (model.encoder, model.decoder, model.joint))
    _fix_position_table(encoder, int(model.cfg.encoder.get("pos_emb_max_len", 5000)))
    return _Modules(encoder, decoder, joint)


EXAMPLE_BATCH = 2
EXAMPLE_FRAMES = 128


def _export_encoder(encoder, contract: dict, path: Path) -> list[Path]:
    inputs = {
        "features": torch.randn(EXAMPLE_BATCH, contract["features"]["mel_bins"], EXAMPLE_FRAMES),
        "lengths": torch.tensor([EXAMPLE_FRAMES, EXAMPLE_FRAMES // 2]),
    }
    dynamic = {
        "features": {0: "B", 2: "T"},
        "lengths": {0: "B"},
        "encoded": {0: "B", 1: "T8"},
        "encoded_lengths": {0: "B"},
    }
    return _export(EncoderBTD(encoder), path, inputs, ["encoded", "encoded_lengths"], dynamic)


def _export_predictor(decoder, contract: dict, path: Path) -> list[Path]:
    state = torch.zeros(contract["predictor"]["layers"], EXAMPLE_BATCH, contract["predictor"]["width"])
    start = torch.full((EXAMPLE_BATCH, 1), contract["decode"]["blank_id"], dtype=torch.int32)
    outputs = ["predicted", "next_state_h", "next_state_c"]
    dynamic = {name: {1: "B"} for name in ("state_h", "state_c", "next_state_h", "next_state_c")}
    dynamic |= {"token": {0: "B"}, "predicted": {0: "B"}}
    inputs = {"token": start, "state_h": state, "state_c": state.clone()}
    return _export(Predictor(decoder), path, inputs, outputs, dynamic)


def _export_joint(joint, contract: dict, path: Path) -> list[Path]:
    inputs = {
        "encoded": torch.randn(EXAMPLE_BATCH, 1, contract["encoder"]["width"]),
        "predicted": torch.randn(EXAMPLE_BATCH, 1, contract["predictor"]["width"]),
    }
    dynamic = {name: {0: "B"} for name in ("encoded", "predicted", "logits")}
    return _export(Joint(joint), path, inputs, ["logits"], dynamic)


def export_ours(model, out_dir, name: str, languages=("en",), license="Apache-2.0") -> dict:
    """Writes the folder of contract v1 to `out_dir` and returns its contract.

    Raises UnsupportedModel when the contract cannot express the model. `model` is left as it was.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    contract = contract_of(model, name, languages, license)
    frozen = _frozen_copy(model)
    files = _export_encoder(frozen.encoder, contract, out_dir / contract["encoder"]["file"])
    files += _export_predictor(frozen.decoder, contract, out_dir / contract["predictor"]["file"])
    files += _export_joint(frozen.joint, contract, out_dir / contract["joint"]["file"])
    files.append(out_dir / contract["tokenizer"]["file"])
    _write_vocabulary(model, files[-1])
    contract["files"] = {
        file.name: {"bytes": file.stat().st_size, "sha256": onnx_files.sha256_hex(file)} for file in files
    }
    text = json.dumps(contract, indent=2, ensure_ascii=False) + "\n"
    (out_dir / "contract.json").write_text(text, encoding="utf-8")
    return contract


def export_nemo_layout(model, out_dir, int8: bool = True) -> None:
    """Writes NeMo's own export as onnx-asr users have it: encoder-model, decoder_joint-model, vocab.txt; int8 beside."""
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    _check(model)
    frozen = _frozen_copy(model)
    fused = RNNTDecoderJoint(frozen.decoder, frozen.joint)
    for stem, module in (("encoder-model", frozen.encoder), ("decoder_joint-model", fused)):
        path = out_dir / f"{stem}.onnx"
        module.export(str(path), onnx_opset_version=OPSET)
        onnx_files.pack(path)
        if int8:
            onnx_files.quantize(path, out_dir / f"{stem}.int8.onnx")
    _write_vocabulary(model, out_dir / "vocab.txt")


def sherpa_metadata(model, name: str) -> dict[str, str]:
    """What sherpa-onnx reads from its encoder; a `url` that holds "tdt" is how it tells TDT from RNN-T."""
    features = _features(model)
    return {
        "vocab_size": str(model.tokenizer.tokenizer.get_piece_size()),
        "normalize_type": "per_feature" if features["normalization"] == "per_feature" else "",
        "pred_rnn_layers": str(model.decoder.pred_rnn_layers),
        "pred_hidden": str(model.decoder.pred_hidden),
        "subsampling_factor": str(model.cfg.encoder.subsampling_factor),
        "model_type": "EncDecRNNTBPEModel",
        "version": "2",
        "model_author": "NeMo",
        "url": name if "tdt" in name else f"{name}-tdt",
        "comment": "exported by trt-asr",
        "feat_dim": str(features["mel_bins"]),
    }


def export_sherpa_layout(model, out_dir, name: str, int8: bool = True) -> None:
    """Writes the sherpa-onnx layout: NeMo's encoder, decoder and joiner apart, tokens.txt, metadata, int8 beside."""
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    _check(model)
    frozen = _frozen_copy(model)
    metadata = sherpa_metadata(model, name)
    for stem, module in (("encoder", frozen.encoder), ("decoder", frozen.decoder), ("joiner", frozen.joint)):
        path = out_dir / f"{stem}.onnx"
        module.export(str(path), onnx_opset_version=OPSET)
        onnx_files.pack(path, metadata if stem == "encoder" else None)
        if int8:
            onnx_files.quantize(path, out_dir / f"{stem}.int8.onnx")
    _write_vocabulary(model, out_dir / "tokens.txt")
