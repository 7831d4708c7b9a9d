"""RNN-T and CTC models, in our layout and in the layouts of others.

Those of our layout are exports of random .nemo archives, which NeMo loads as well and transcribes with (heads.py). Those of other
layouts are NeMo's own export, or bent from our graphs: tests compare one layout with another.
"""

import copy
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper
from trt_asr_export import ExportOptions, export_model
from trt_asr_export.random_model import write_random_archive

from . import models

SEED = 42


@dataclass(frozen=True)
class Source:
    """What a folder of our layout is exported from: a kind of random archive, and a branch of it."""

    kind: str
    branch: str

    def write(self, path: Path) -> None:
        write_random_archive(path, self.kind, SEED)


SOURCES = {
    "rnnt-ours": Source("hybrid_rnnt", "transducer"),
    "ctc-ours": Source("hybrid_rnnt", "ctc"),
    "ctc-80-ours": Source("ctc", "ctc"),
    "ctc-causal": Source("cache_aware_ctc", "ctc"),
}


def nemo_model(name: str):
    """The NeMo model behind the folder `name`, in eval mode."""
    from nemo.core import ModelPT

    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / f"{name}.nemo"
        SOURCES[name].write(archive)
        return ModelPT.restore_from(str(archive), map_location="cpu").eval()


def _export(name: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / f"{name}.nemo"
        SOURCES[name].write(archive)
        export_model(archive, folder, ExportOptions(name=name, branch=SOURCES[name].branch, streaming=False))
    (folder / "model_meta.json").unlink()
    models.shorten(folder)
    models.refresh_hashes(folder)


def _rename(model: onnx.ModelProto, names: dict) -> None:
    """Gives inputs and outputs of the graph other names, wherever they are used."""
    graph = model.graph
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.output]:
        value.name = names.get(value.name, value.name)


def _without_lengths(model: onnx.ModelProto) -> onnx.ModelProto:
    """NeMo's own CTC export: other names, and no lengths come out."""
    model = copy.deepcopy(model)
    kept = next(value for value in model.graph.output if value.name == "log_probs")
    del model.graph.output[:]
    model.graph.output.append(kept)
    names = {"processed_signal": "audio_signal", "processed_signal_length": "length", "log_probs": "logprobs"}
    _rename(model, names)
    onnx.checker.check_model(model)
    return model


def _with_metadata(model: onnx.ModelProto, values: dict) -> onnx.ModelProto:
    model = copy.deepcopy(model)
    helper.set_model_props(model, values)
    return model


def _write(folder: Path, files: dict) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.SerializeToString())


def _foreign_rnnt(out: Path) -> None:
    from .foreign_layouts import export_nemo_layout

    folder = out / "rnnt-nemo"
    shutil.rmtree(folder, ignore_errors=True)
    export_nemo_layout(nemo_model("rnnt-ours"), folder, int8=False)
    models.shorten(folder)


def _foreign_ctc(out: Path) -> None:
    model = _without_lengths(onnx.load(out / "ctc-ours" / "model.onnx"))
    config = {"model_type": "nemo-conformer-ctc", "features_size": 128, "subsampling_factor": 8}
    files = {
        "model.onnx": model,
        "vocab.txt": (out / "ctc-ours" / "tokens.txt").read_bytes(),
        "config.json": json.dumps(config).encode(),
    }
    _write(out / "ctc-nemo", files)
    # 80 mel bins and no normalisation, which only the graph and its metadata tell.
    bare = out / "ctc-80-ours"
    model, tokens = _without_lengths(onnx.load(bare / "model.onnx")), (bare / "tokens.txt").read_bytes()
    metadata = {
        "normalize_type": "NA",
        "subsampling_factor": "8",
        "model_type": "EncDecCTCModelBPE",
        "vocab_size": str(len(tokens.splitlines())),
    }
    _write(out / "ctc-80-sherpa", {"model.onnx": _with_metadata(model, metadata), "tokens.txt": tokens})
    odd = _with_metadata(model, metadata | {"normalize_type": "all_features"})
    _write(out / "ctc-odd-features", {"model.onnx": odd, "tokens.txt": tokens})


def make(out: Path) -> None:
    """Writes all variants to `out`."""
    for name in SOURCES:
        _export(name, out / name)
    _foreign_rnnt(out)
    _foreign_ctc(out)
