"""Cache-aware exports of NeMo's own and of sherpa-onnx's scripts, and NeMo's streaming by them: models/traced, golden/traced.

NeMo's export takes chunks of one length alone, so its buffer pads before the first one (pad_and_drop_preencoded). Graphs are kept without
metadata: a test appends what sherpa-onnx's scripts write, or something that has to be refused.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from nemo.collections.asr.modules.rnnt import RNNTDecoderJoint
from trt_asr_export import ExportOptions, export_model
from trt_asr_export.random_model import write_random_archive

from . import foreign_layouts, onnx_files, oracle, oracle_streaming, streaming, transcripts
from .audio import Clip, Pools
from .oracle_ctc import Ctc
from .ort_streaming import OrtStream
from .writer import SetWriter

# WHY: most of these graphs are nodes; few layers, a short position table and few pieces leave room in the repository.
SIZE = {"width": 16, "expansion": 1, "channels": 4, "hidden": 16, "pieces": 56, "frames": 80}
# WHY: one frame, the middle and the end of a chunk, one frame more, and more than the caches hold.
SAMPLES = (160, 800, 2560, 2720, 5280, 12345, 24000, 48000, 93000)


@dataclass(frozen=True)
class Source:
    kind: str
    context: tuple[int, int]
    layers: int
    seed: int

    def write(self, path: Path) -> None:
        size = SIZE | {"layers": self.layers}
        write_random_archive(path, self.kind, self.seed, size, att_context_size=list(self.context))


# SOURCE: seeds tried, as for streaming.SOURCES. An RNN-T shares encoder and predictor with the TDT, and so the graphs.
SOURCES = {
    "tdt": Source("cache_aware_tdt", (70, 1), 2, 43),
    "rnnt": Source("cache_aware_rnnt", (70, 1), 2, 43),
    "ctc": Source("cache_aware_ctc", (70, 0), 1, 42),
}
# SOURCE: tried: without it nearly every frame of an RNN-T ends by the cap on symbols alone.
RNNT_BLANK_BIAS = 4.0


def _restored(archive: Path):
    from nemo.core import ModelPT

    return ModelPT.restore_from(str(archive), map_location="cpu").eval()


def _archive(name: str, folder: Path) -> Path:
    """The .nemo file of a source, in `folder`."""
    path = folder / f"{name}.nemo"
    SOURCES[name].write(path)
    if name != "rnnt":
        return path
    model, state = _restored(path), _restored(_archive("tdt", folder)).state_dict()
    classes = model.joint.num_classes_with_blank
    for kind in ("weight", "bias"):
        state[f"joint.joint_net.1.{kind}"] = state[f"joint.joint_net.1.{kind}"][:classes].clone()
    state["joint.joint_net.1.bias"][classes - 1] += RNNT_BLANK_BIAS
    model.load_state_dict(state)
    model.save_to(str(path))
    return path


def _models(name: str):
    """NeMo's model of a source, and the loop over our own export of it."""
    with tempfile.TemporaryDirectory() as scratch:
        archive, ours = _archive(name, Path(scratch)), Path(scratch) / "ours"
        export_model(archive, ours, ExportOptions(name=name, streaming_only=True))
        return _restored(archive), OrtStream(ours)


def _export(module, path: Path) -> None:
    module.export(str(path), onnx_opset_version=foreign_layouts.OPSET)
    onnx_files.pack(path)
    onnx_files.merge_constants(path)
    onnx_files.shorten_names(path)


def make_models(out: Path) -> None:
    """Writes NeMo's own exports: an encoder, what goes with it fused for a TDT and apart for an RNN-T, and a CTC model."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in SOURCES:
        model, _ = _models(name)
        model.set_export_config({"cache_support": "True"})
        parts = {"ctc": model}
        if name == "tdt":
            parts = {"encoder": model.encoder, "decoder_joint": RNNTDecoderJoint(model.decoder, model.joint)}
        elif name == "rnnt":
            parts = {"decoder": model.decoder, "joiner": model.joint}
        for stem, module in parts.items():
            _export(module, out / f"{stem}.onnx")
    foreign_layouts.write_vocabulary(model, out / "tokens.txt")


class _TimeLast:
    """A streaming graph of NeMo's as one of ours would answer: frames before width."""

    def __init__(self, path: Path, transposes: bool):
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.transposes = transposes

    def run(self, wanted, inputs: dict) -> list:
        encoded, *rest = self.session.run(wanted, inputs)
        return [encoded.transpose(0, 2, 1) if self.transposes else encoded, *rest]


def _as_exported(ours: OrtStream, graph: Path) -> OrtStream:
    """The loop over our export, with NeMo's own graph in place of our streaming one, and chunks that are padded alike."""
    numbers = ours.contract["streaming"]
    for port, name in zip(numbers["inputs"], ("audio_signal", "length")):
        port["name"] = name
    following, before = numbers["chunk_frames"]["next"], numbers["pre_encode_frames"]["next"]
    numbers["chunk_frames"]["first"] = numbers["shift_frames"]["first"] = following
    numbers["pre_encode_frames"]["first"] = numbers["first_padding_frames"] = before
    ours.streaming = _TimeLast(graph, transposes=ours.rule != "ctc")
    return ours


def _silent(clip: Clip) -> streaming.Heard:
    """Less than a hop, of which NeMo's buffer makes no chunk."""
    run = transcripts.empty(clip)
    return streaming.Heard(run, oracle_streaming.Stream(np.zeros((0, 0)), run.encoded_TD, [], run.transcript, 0))


def make(pools: Pools, golden: Path, models_dir: Path) -> None:
    """Writes golden/traced/*, of the graphs as they are in `models_dir`."""
    for name in SOURCES:
        model, ours = _models(name)
        nemo = Ctc(model) if name == "ctc" else oracle.Transducer(model)
        ort = _as_exported(ours, models_dir / ("ctc.onnx" if name == "ctc" else "encoder.onnx"))
        generator = np.random.default_rng(streaming.SEED)
        clips = [_silent(Clip("speech.159", "speech", 9000, 159))]
        # WHY: a random RNN-T says ten tokens a frame, and the TDT's long clip runs through the same encoder.
        for samples in SAMPLES if name != "rnnt" else SAMPLES[:-1]:
            clips.append(streaming.steady(nemo, ort, pools, "speech", samples, generator, padded=True))
        note = "NeMo's cache-aware streaming with pad_and_drop_preencoded on a random model"
        out = SetWriter(golden / "traced" / name, f"traced/{name}", note, seed=streaming.SEED)
        for heard in clips:
            clip = heard.run.clip
            heard.run.clip = Clip(clip.name, f"../../audio/{clip.wav}.wav", clip.offset, clip.samples)
        transcripts.write_clips(out, [heard.run for heard in clips])
        for heard in clips:
            transcripts.write_item(out, heard.run)
            streaming.write_chunks(out, heard)
        out.close()
