"""The layouts that others ship, as NeMo itself exports them: only the fixtures need them, and only they need NeMo.

Our own layout is made by `trt_asr_export` from a .nemo file.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from nemo.collections.asr.modules.rnnt import RNNTDecoderJoint

from . import onnx_files

# SOURCE: the opset NeMo 2.7 itself exports with.
OPSET = 17


@dataclass(frozen=True)
class _Modules:
    """Copies in eval mode: neither the exporter nor the position table's length may touch the caller's model."""

    encoder: torch.nn.Module
    decoder: torch.nn.Module
    joint: torch.nn.Module


def _fix_position_table(encoder, frames_max: int) -> None:
    """Rebuilds the sinusoids for exactly `frames_max` encoder frames: NeMo's table grows with the audio it has seen."""
    positions = torch.arange(frames_max - 1, -frames_max, -1, dtype=torch.float32).unsqueeze(1)
    encoder.pos_enc.create_pe(positions=positions, dtype=next(encoder.parameters()).dtype)


def _frozen_copy(model) -> _Modules:
    encoder, decoder, joint = (copy.deepcopy(part).cpu().eval() for part in (model.encoder, model.decoder, model.joint))
    _fix_position_table(encoder, int(model.cfg.encoder.get("pos_emb_max_len", 5000)))
    return _Modules(encoder, decoder, joint)


def write_vocabulary(model, path: Path) -> None:
    pieces = model.tokenizer.tokenizer
    lines = [f"{pieces.id_to_piece(i)} {i}" for i in range(pieces.get_piece_size())]
    lines.append(f"<blk> {pieces.get_piece_size()}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def export_nemo_layout(model, out_dir, int8: bool = True) -> None:
    """Writes NeMo's own export as onnx-asr users have it: encoder-model, decoder_joint-model, vocab.txt; int8 beside."""
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    frozen = _frozen_copy(model)
    fused = RNNTDecoderJoint(frozen.decoder, frozen.joint)
    for stem, module in (("encoder-model", frozen.encoder), ("decoder_joint-model", fused)):
        path = out_dir / f"{stem}.onnx"
        module.export(str(path), onnx_opset_version=OPSET)
        onnx_files.pack(path)
        if int8:
            onnx_files.quantize(path, out_dir / f"{stem}.int8.onnx")
    write_vocabulary(model, out_dir / "vocab.txt")


def sherpa_metadata(model, name: str) -> dict[str, str]:
    """What sherpa-onnx reads from its encoder; a `url` that holds "tdt" is how it tells TDT from RNN-T."""
    featurizer = model.preprocessor.featurizer
    return {
        "vocab_size": str(model.tokenizer.tokenizer.get_piece_size()),
        "normalize_type": "per_feature" if featurizer.normalize == "per_feature" else "",
        "pred_rnn_layers": str(model.decoder.pred_rnn_layers),
        "pred_hidden": str(model.decoder.pred_hidden),
        "subsampling_factor": str(model.cfg.encoder.subsampling_factor),
        "model_type": "EncDecRNNTBPEModel",
        "version": "2",
        "model_author": "NeMo",
        "url": name if "tdt" in name else f"{name}-tdt",
        "comment": "exported by trt-asr",
        "feat_dim": str(featurizer.nfilt),
    }


def export_sherpa_layout(model, out_dir, name: str, int8: bool = True) -> None:
    """Writes the sherpa-onnx layout: NeMo's encoder, decoder and joiner apart, tokens.txt, metadata, int8 beside."""
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    frozen = _frozen_copy(model)
    metadata = sherpa_metadata(model, name)
    for stem, module in (("encoder", frozen.encoder), ("decoder", frozen.decoder), ("joiner", frozen.joint)):
        path = out_dir / f"{stem}.onnx"
        module.export(str(path), onnx_opset_version=OPSET)
        onnx_files.pack(path, metadata if stem == "encoder" else None)
        if int8:
            onnx_files.quantize(path, out_dir / f"{stem}.int8.onnx")
    write_vocabulary(model, out_dir / "tokens.txt")
