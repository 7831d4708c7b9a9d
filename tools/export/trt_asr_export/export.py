"""A checkpoint -> a model folder."""

import hashlib
import json
import platform
from dataclasses import asdict
from pathlib import Path

import onnx
import onnxruntime
import sentencepiece
import torch

from . import __version__, graphs, onnx_graph, smoke
from .archive import Archive, load_tensors, opened
from .checkpoint import Checkpoint
from .config import ModelConfig, read_config, whole
from .contract import contract_of, metadata_of
from .contract_form import check_form
from .errors import ExportError, require_in
from .folder import appearing
from .fp16 import to_fp16
from .int8 import to_int8
from .model import Model, build
from .options import PRECISIONS, ExportOptions
from .simplify import simplify
from .streaming import plan_for
from .tokenizer import load_pieces, vocabulary_text

# WHY: the encoder is 98 % of the work. Predictor and joint decide tokens, and quantised per call they would decide differently with
#      every batch; they stay f32. TODO: one scale for each row, which ONNX Runtime has no fused kernel for.
QUANTISED = ("encoder", "streaming")


def _write_part(part: graphs.Part, folder: Path, precision: str, metadata: dict[str, str]) -> list[Path]:
    graph = onnx_graph.trace(part.module, part.inputs, part.outputs)
    simplify(graph)
    if precision == "fp16":
        to_fp16(graph)
    elif precision == "int8" and part.part in QUANTISED:
        to_int8(graph)
    files = onnx_graph.save(graph, folder / part.file, metadata)
    smoke.run(part, files[0], precision)
    return files


def _short_text(value) -> str | None:
    return value if isinstance(value, str) and len(value) <= 64 else None


def _with_text_keys(value):
    """YAML's keys may be of any kind, and keys of two kinds cannot be sorted."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(one) for key, one in value.items()}
    return [_with_text_keys(one) for one in value] if isinstance(value, list) else value


def weights_digest(nemo: Archive) -> str:
    """sha256 over configuration, pieces and every learned tensor's name, dtype, shape and bytes, in the order of the names.

    The archive's own bytes would also change with the versions of torch and SentencePiece that wrote its members.
    """
    # The tokenizer's section names files by their hashes; the pieces are what counts.
    config = {key: value for key, value in nemo.config.items() if key != "tokenizer"}
    found = hashlib.sha256(json.dumps(_with_text_keys(config), sort_keys=True, default=str).encode())
    model = read_config(nemo.config).tokenizer_model
    found.update(vocabulary_text(load_pieces(nemo.file(model, "tokenizer.model_path"))).encode())
    for name, tensor in sorted(load_tensors(nemo.weights).items()):
        # Window and filter bank follow from the configuration, and their last bits from the machine's library of sines.
        if name.startswith("preprocessor."):
            continue
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        found.update(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
    return found.hexdigest()


def _meta(nemo: Archive, model: Model, options: ExportOptions, files: dict) -> dict:
    """What made the folder, for people and for reproduction: nothing here is read by the runtime."""
    versions = {
        "trt_asr_export": __version__, "torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
        "sentencepiece": sentencepiece.__version__, "python": platform.python_version(),
    }  # fmt: skip
    chosen = {key: value for key, value in asdict(options).items() if key not in ("force",)}
    return {
        "source": {"file": nemo.path.name, "bytes": nemo.path.stat().st_size, "sha256": nemo.sha256, "target": model.config.target,
                   "weights_sha256": weights_digest(nemo), "nemo_version": _short_text(nemo.config.get("nemo_version"))},
        "versions": versions, "opset": onnx_graph.OPSET, "options": chosen, "files": files,
    }  # fmt: skip


def _check_vocabulary(config: ModelConfig, vocabulary: int) -> None:
    """The numbers in the configuration must be the tokenizer's; NeMo writes all of them."""
    for path in ("joint.num_classes", "decoder.vocab_size", "decoder.num_classes", "aux_ctc.decoder.num_classes"):
        at = config.root.values
        for key in path.split("."):
            at = at.get(key) if isinstance(at, dict) else None
        number = whole(at)
        if isinstance(at, bool) or (number is not None and number > 0 and number != vocabulary):
            raise ExportError(
                path, f"{vocabulary}, the tokenizer's pieces", str(at), "The tokenizer belongs to another model"
            )


def _load(nemo: Archive, options: ExportOptions) -> tuple[Model, sentencepiece.SentencePieceProcessor]:
    config = read_config(nemo.config)
    options.branch_of(config)
    pieces = load_pieces(nemo.file(config.tokenizer_model, "tokenizer.model_path"))
    vocabulary = pieces.get_piece_size()
    _check_vocabulary(config, vocabulary)
    source = Checkpoint(load_tensors(nemo.weights))
    return build(config, vocabulary, source, options.context_of(config), options.fold_joint), pieces


def _parts(model: Model, ctc: bool, plan, options: ExportOptions) -> dict[str, graphs.Part]:
    """The graphs of the folder, by their section of the contract. `plan` is None without streaming."""
    projected = options.fold_joint
    parts = [] if options.streaming_only else [graphs.encoder_part(model, ctc, projected)]
    if not ctc:
        parts += [graphs.predictor_part(model), graphs.joint_part(model, projected)]
    if plan is not None:
        parts.append(graphs.streaming_part(model, plan, ctc, projected))
    return {part.part: part for part in parts}


def _json(value) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write_folder(nemo: Archive, folder: Path, options: ExportOptions, name: str) -> dict:
    model, pieces = _load(nemo, options)
    ctc = options.branch_of(model.config) == "ctc"
    plan = None
    if options.streams(model.config):
        plan = plan_for(
            model.config.encoder,
            model.encoder.context,
            options.chunk_frames,
            options.cache_size,
            options.cache_drop_size,
        )
    parts = _parts(model, ctc, plan, options)
    contract = contract_of(model, parts, plan, options, name, pieces.unk_id())
    check_form(contract)
    files = []
    for section, part in parts.items():
        files += _write_part(part, folder, options.precision, metadata_of(contract, section))
    files.append(folder / contract["tokenizer"]["file"])
    files[-1].write_text(vocabulary_text(pieces), encoding="utf-8")
    contract["files"] = {file.name: onnx_graph.describe(file) for file in files}
    check_form(contract)
    (folder / "contract.json").write_text(_json(contract), encoding="utf-8")
    (folder / "model_meta.json").write_text(_json(_meta(nemo, model, options, contract["files"])), encoding="utf-8")
    return contract


def export_model(nemo_path, out_dir, options: ExportOptions = ExportOptions()) -> dict:
    """Writes the model folder `out_dir` from the .nemo file `nemo_path` and returns its contract.

    Raises ExportError, and leaves nothing behind, when the checkpoint, an option or the target is not what is expected.
    """
    require_in("--precision", PRECISIONS, options.precision)
    nemo_path = Path(nemo_path)
    if nemo_path.resolve().is_relative_to(Path(out_dir).resolve()):
        raise ExportError("the target", "a folder without the checkpoint in it", str(out_dir), "Choose another target")
    with appearing(Path(out_dir), options.force) as work:
        scratch = work / ".unpacked"
        scratch.mkdir()
        with opened(nemo_path, scratch) as nemo:
            contract = _write_folder(nemo, work, options, options.name or nemo_path.stem)
        for file in scratch.iterdir():
            file.unlink()
        scratch.rmdir()
    return contract
