"""Broken models, each a few files that a test lays over a copy of tiny-ours."""

import copy
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 8
OPSET = 17
MODEL_CORRUPT, CONTRACT_MISMATCH, FOUND_NOTHING, FINE = (
    "ERR_MODEL_CORRUPT",
    "ERR_CONTRACT_MISMATCH",
    "ERR_MODEL_NOT_FOUND",
    "OK",
)


def _graph(nodes, inputs, outputs, constants=()) -> bytes:
    """A small ONNX file; inputs and outputs are (name, element type, shape)."""
    declare = (
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
    )
    weights = [numpy_helper.from_array(array, name) for name, array in constants]
    graph = helper.make_graph(nodes, "hostile", *declare, initializer=weights)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="trt-asr fixtures")
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _encoder(bins: int, width: int, factor: float, length_divisor: int, features="features") -> bytes:
    """Takes every eighth frame and the first `width` mel bins, times `factor`."""
    nodes = [
        helper.make_node("Slice", [features, "starts", "ends", "axes", "steps"], ["picked"]),
        helper.make_node("Transpose", ["picked"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Mul", ["turned", "factor"], ["encoded"]),
        helper.make_node("Add", ["lengths", "rounding"], ["rounded"]),
        helper.make_node("Div", ["rounded", "divisor"], ["encoded_lengths"]),
    ]
    constants = (
        ("starts", np.array([0, 0])),
        ("ends", np.array([width, np.iinfo(np.int64).max])),
        ("axes", np.array([1, 2])),
        ("steps", np.array([1, 8])),
        ("factor", np.array(factor, np.float32)),
        ("rounding", np.array([length_divisor - 1])),
        ("divisor", np.array([length_divisor])),
    )
    return _graph(
        nodes,
        [(features, TensorProto.FLOAT, ["B", bins, "T"]), ("lengths", TensorProto.INT64, ["B"])],
        [("encoded", TensorProto.FLOAT, ["B", "T8", width]), ("encoded_lengths", TensorProto.INT64, ["B"])],
        constants,
    )


def _joint(width: int, logits_C: np.ndarray, kind=TensorProto.FLOAT, rank: int = 3, times: float = 0.0) -> bytes:
    """Gives `logits_C` whatever it hears: logits = times * mean(encoded + predicted) + logits_C."""
    number = helper.tensor_dtype_to_np_dtype(kind)
    shape = ["B", 1, width] if rank == 3 else ["B", width]
    nodes = [
        helper.make_node("Add", ["encoded", "predicted"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=list(range(1, rank)), keepdims=0),
        helper.make_node("Mul", ["mean", "times"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "axis"], ["column"]),
        helper.make_node("Add", ["column", "constant"], ["logits"]),
    ]
    constants = (
        ("times", np.array(times, number)),
        ("axis", np.array([1])),
        ("constant", logits_C.astype(number)[None]),
    )
    return _graph(
        nodes,
        [("encoded", kind, shape), ("predicted", kind, shape)],
        [("logits", kind, ["B", len(logits_C)])],
        constants,
    )


class Hostile:
    """Writes the overlays and their list."""

    def __init__(self, sane: Path, folder: Path):
        self.sane, self.folder = sane, folder
        self.contract = json.loads((sane / "contract.json").read_text(encoding="utf-8"))
        self.lines = ["format trt-asr-hostile 1"]

    def add(self, name: str, code: str, stage: str, why: str, replace=None, remove=(), edit=None, rehash=True) -> None:
        """`replace` maps file names to bytes; `edit` changes a copy of the contract in place."""
        self.lines.append(f"case {name} {code} {stage}")
        self.lines.append(f"why {name} {why}")
        contract = copy.deepcopy(self.contract)
        if edit:
            edit(contract)
        target = self.folder / name
        target.mkdir(parents=True)
        for file, content in (replace or {}).items():
            self._put(target, file, content)
            if rehash and file in contract["files"]:
                contract["files"][file] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if contract != self.contract:
            self._put(target, "contract.json", (json.dumps(contract, ensure_ascii=False) + "\n").encode())
        for file in remove:
            self.lines.append(f"remove {name} {file}")
        if not any(target.iterdir()):
            target.rmdir()

    def _put(self, target: Path, file: str, content: bytes) -> None:
        (target / file).write_bytes(content)
        self.lines.append(f"replace {target.name} {file}")

    def close(self) -> None:
        (self.folder / "manifest.txt").write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def _field(*path, value):
    """An edit that sets contract[path...] to value."""

    def edit(contract: dict) -> None:
        for key in path[:-1]:
            contract = contract[key]
        contract[path[-1]] = value

    return edit


def _without(*path):
    """An edit that drops contract[path...]."""

    def edit(contract: dict) -> None:
        for key in path[:-1]:
            contract = contract[key]
        del contract[path[-1]]

    return edit


def _all(*edits):
    """Several edits at once: a fault that the contract itself holds to, so that only the graphs can tell."""

    def edit(contract: dict) -> None:
        for each in edits:
            each(contract)

    return edit


def _vocabulary(count: int):
    """Another size of vocabulary, throughout the contract."""

    def edit(contract: dict) -> None:
        contract["tokenizer"]["vocabulary"] = contract["decode"]["blank_id"] = count
        contract["joint"]["tokens"] = count + 1
        contract["joint"]["outputs"][0]["shape"][-1] = count + 1 + contract["joint"]["durations"]

    return edit


def _encoder_width(width: int):
    """Another width of the encoder, throughout the contract."""

    def edit(contract: dict) -> None:
        encoder = contract["encoder"]
        encoder["width"] = encoder["output_width"] = width
        encoder["outputs"][0]["shape"][-1] = contract["joint"]["inputs"][0]["shape"][-1] = width

    return edit


def _predictor_layers(layers: int):
    """Another depth of the predictor, throughout the contract."""

    def edit(contract: dict) -> None:
        contract["predictor"]["layers"] = layers
        for tensor in contract["predictor"]["inputs"][1:] + contract["predictor"]["outputs"][1:]:
            tensor["shape"][0] = layers

    return edit


def _files(out: Hostile) -> None:
    encoder = (out.sane / "encoder.onnx").read_bytes()
    flipped = bytearray(encoder[:4000])
    flipped[:400] = bytes(byte ^ 0xFF for byte in flipped[:400])
    add = out.add
    add(
        "encoder-missing", FOUND_NOTHING, "open", "a file that the contract names is not there", remove=["encoder.onnx"]
    )
    add("contract-missing", FOUND_NOTHING, "open", "no contract and no other layout's names", remove=["contract.json"])
    add("vocabulary-missing", FOUND_NOTHING, "open", "the tokenizer's file is not there", remove=["vocab.txt"])
    add("joint-empty", MODEL_CORRUPT, "open", "joint.onnx has 0 bytes", {"joint.onnx": b""}, rehash=False)
    add("joint-empty-rehashed", MODEL_CORRUPT, "open", "0 bytes with the right hash", {"joint.onnx": b""})
    add(
        "encoder-truncated",
        MODEL_CORRUPT,
        "open",
        "the first 1000 bytes",
        {"encoder.onnx": encoder[:1000]},
        rehash=False,
    )
    add(
        "encoder-truncated-rehashed",
        MODEL_CORRUPT,
        "open",
        "the same with the right hash",
        {"encoder.onnx": encoder[:1000]},
    )
    add(
        "encoder-flipped",
        MODEL_CORRUPT,
        "open",
        "its head is inverted, with the right hash",
        {"encoder.onnx": bytes(flipped)},
    )
    add(
        "encoder-text",
        MODEL_CORRUPT,
        "open",
        "a text file with the right hash",
        {"encoder.onnx": b"not a graph\n" * 20},
    )
    add(
        "contract-text",
        CONTRACT_MISMATCH,
        "open",
        "contract.json is no JSON",
        {"contract.json": b'{ "schema": '},
        rehash=False,
    )
    add(
        "contract-list",
        CONTRACT_MISMATCH,
        "open",
        "contract.json is a JSON list",
        {"contract.json": b"[]\n"},
        rehash=False,
    )


def _vocabularies(out: Hostile) -> None:
    lines = (out.sane / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = out.contract["tokenizer"]["vocabulary"]
    short = [*lines[:300], "<blk> 300"]

    def text(rows) -> dict:
        return {"vocab.txt": ("\n".join(rows) + "\n").encode()}

    swapped = [*lines[:10], lines[11], lines[10], *lines[12:]]
    add = out.add
    add(
        "vocabulary-short",
        CONTRACT_MISMATCH,
        "open",
        "300 pieces, but the joint gives 352+1+5",
        text(short),
        edit=_vocabulary(300),
    )
    add("vocabulary-lines-missing", CONTRACT_MISMATCH, "open", "300 pieces, the contract says 352", text(lines[:300]))
    add("vocabulary-disordered", CONTRACT_MISMATCH, "open", "two ids have changed places", text(swapped))
    add("vocabulary-no-ids", CONTRACT_MISMATCH, "open", "lines without ids", text([row.split(" ")[0] for row in lines]))
    assert vocabulary == 352


def _contracts(out: Hostile) -> None:
    cases = {
        "blank-beyond": (_field("decode", "blank_id", value=9999), "the blank id is beyond the joint's output"),
        "blank-inside": (_field("decode", "blank_id", value=10), "the blank id is a piece's"),
        "blank-negative": (_field("decode", "blank_id", value=-1), "the blank id is negative"),
        "blank-text": (_field("decode", "blank_id", value="352"), "the blank id is a string"),
        "blank-fraction": (_field("decode", "blank_id", value=352.5), "the blank id is no integer"),
        "unk-beyond": (_field("tokenizer", "unk_id", value=352), "the unknown piece is beyond the vocabulary"),
        "durations-empty": (_field("decode", "durations", value=[]), "no durations"),
        "durations-few": (
            _all(
                _field("decode", "durations", value=[0, 1, 2, 3]),
                _field("joint", "durations", value=4),
                _field("joint", "outputs", 0, "shape", value=["B", 357]),
            ),
            "4 durations, the joint gives 5",
        ),
        "durations-negative": (_field("decode", "durations", value=[0, 1, 2, 3, -4]), "a duration goes backwards"),
        "symbols-zero": (_field("decode", "max_symbols_per_frame", value=0), "no symbol may be emitted"),
        "schema-unknown": (_field("schema", value="trt-asr-contract/99"), "a schema from the future"),
        "schema-absent": (_without("schema"), "no schema"),
        "encoder-absent": (_without("encoder"), "no encoder section"),
        "file-absent": (_without("joint", "file"), "the joint names no file"),
        "file-outside": (_field("encoder", "file", value="../tiny-ours/encoder.onnx"), "a file outside the folder"),
        "file-absolute": (_field("encoder", "file", value="/etc/hostname"), "an absolute path"),
        "frames-zero": (_field("encoder", "frames_max", value=0), "a position table of no frames"),
        "frames-huge": (_field("encoder", "frames_max", value=2**53), "a position table beyond all memory"),
        "width-wrong": (_encoder_width(64), "the graph says 32"),
        "layers-wrong": (_predictor_layers(3), "the graph says 2"),
        "subsampling-zero": (_field("encoder", "subsampling", value=0), "no subsampling factor"),
        "mels-wrong": (
            _all(
                _field("features", "mel_bins", value=80),
                _field("encoder", "inputs", 0, "shape", value=["B", 80, "T"]),
            ),
            "the graph says 128",
        ),
        "mels-zero": (_field("features", "mel_bins", value=0), "no mel bins"),
        "hop-zero": (_field("features", "hop_samples", value=0), "a hop of no samples"),
        "window-beyond-fft": (_field("features", "window_samples", value=1024), "the window is longer than the FFT"),
        "fft-odd": (_field("features", "fft_samples", value=511), "an FFT size that the front end has not"),
        "rate-negative": (_field("features", "sample_rate_hz", value=-16000), "a negative rate"),
        "band-empty": (_field("features", "mel_low_hz", value=8000), "an empty mel band"),
        "normalization-unknown": (
            _field("features", "normalization", value="all_features"),
            "not a known normalisation",
        ),
    }
    for name, (edit, why) in {**cases, **_relations()}.items():
        out.add(name, CONTRACT_MISMATCH, "open", why, edit=edit)


def _relations() -> dict:
    """Contracts whose fields contradict each other."""
    return {
        "rule-unknown": (_field("decode", "rule", value="beam"), "a rule that no decoder has"),
        "rule-absent": (_without("decode", "rule"), "no rule"),
        "ctc-with-predictor": (_field("decode", "rule", value="ctc"), "CTC has neither predictor nor joint"),
        "rnnt-with-durations": (_field("decode", "rule", value="rnnt"), "RNN-T has no durations"),
        "durations-absent": (_without("decode", "durations"), "TDT without durations"),
        "symbols-absent": (_without("decode", "max_symbols_per_frame"), "a transducer without its guard"),
        "predictor-absent": (_without("predictor"), "a transducer without a predictor"),
        "joint-tokens": (_field("joint", "tokens", value=352), "the joint's tokens lack the blank"),
        "joint-durations": (_field("joint", "durations", value=4), "the joint has fewer durations than decode"),
        "hop-wrong": (_field("timebase", "hop_ms", value=12.5), "a hop that hop_samples do not make"),
        "frame-wrong": (_field("timebase", "frame_ms", value=40), "a frame that is not eight hops"),
        "output-width": (_field("encoder", "output_width", value=64), "the output is wider than the encoder"),
        "heads-wrong": (_field("encoder", "heads", value=5), "5 heads do not part 32"),
        "io-name": (_field("encoder", "inputs", 0, "name", value="spectrogram"), "an input that nobody binds"),
        "io-dtype": (_field("predictor", "inputs", 0, "dtype", value="f32"), "tokens that are no integers"),
        "io-layout": (_field("joint", "inputs", 0, "layout", value="BD1"), "a layout that is not the shape's"),
        "io-shape": (_field("joint", "outputs", 0, "shape", value=["B", 357]), "one logit too few"),
        "io-rank": (_field("encoder", "outputs", 0, "shape", value=["B", 32]), "an output of two axes"),
        "io-missing": (_without("encoder", "outputs", 1), "no lengths come out of the encoder"),
        "io-fixed": (_field("joint", "inputs", 1, "shape", value=[1, 1, 32]), "a batch that is fixed to one row"),
        "precision-unknown": (_field("precision", value="fp8"), "a precision that is not known"),
        "files-absent": (_without("files"), "no hashes"),
        "file-unlisted": (_without("files", "joint.onnx"), "the joint has no hash"),
    }


def _graphs(out: Hostile) -> None:
    bins, width = out.contract["features"]["mel_bins"], out.contract["encoder"]["width"]
    blank = out.contract["decode"]["blank_id"]
    classes = blank + 1 + len(out.contract["decode"]["durations"])
    flat, token = np.zeros(classes), np.zeros(classes)
    token[[300, blank + 1]] = 5.0
    assert out.contract["predictor"]["width"] == width, "_joint gives both of its inputs one width"

    def put(name: str, code: str, stage: str, why: str, file: str, content: bytes) -> None:
        out.add(name, code, stage, why, {file: content})

    sound, renamed = _encoder(bins, width, 1.0, 8), _encoder(bins, width, 1.0, 8, features="featurez")
    put("input-name", CONTRACT_MISMATCH, "open", "the encoder's input is called featurez", "encoder.onnx", renamed)
    put(
        "joint-double",
        CONTRACT_MISMATCH,
        "open",
        "the joint is of double",
        "joint.onnx",
        _joint(width, flat, TensorProto.DOUBLE),
    )
    put(
        "joint-rank",
        CONTRACT_MISMATCH,
        "open",
        "the joint's inputs have rank 2",
        "joint.onnx",
        _joint(width, flat, rank=2),
    )
    put("joint-width", CONTRACT_MISMATCH, "open", "the joint is 64 wide", "joint.onnx", _joint(64, flat))
    put("joint-classes", CONTRACT_MISMATCH, "open", "one logit too few", "joint.onnx", _joint(width, flat[1:]))
    put(
        "encoder-bins",
        CONTRACT_MISMATCH,
        "open",
        "the encoder wants 80 mels",
        "encoder.onnx",
        _encoder(80, width, 1.0, 8),
    )
    put("files-swapped", CONTRACT_MISMATCH, "open", "the joint's file holds an encoder", "joint.onnx", sound)
    nan, run = float("nan"), "transcribe"
    put("encoder-nan", CONTRACT_MISMATCH, run, "the encoder gives NaN", "encoder.onnx", _encoder(bins, width, nan, 8))
    put(
        "encoder-infinite",
        CONTRACT_MISMATCH,
        run,
        "it gives infinities",
        "encoder.onnx",
        _encoder(bins, width, float("inf"), 8),
    )
    put("joint-nan", CONTRACT_MISMATCH, run, "the joint gives NaN", "joint.onnx", _joint(width, flat, times=nan))
    put(
        "lengths-lie",
        CONTRACT_MISMATCH,
        run,
        "encoded_lengths pass the frames",
        "encoder.onnx",
        _encoder(bins, width, 1.0, 1),
    )
    never = "token 300 for ever with duration 0: 10 tokens on each frame"
    put("never-blank", FINE, run, never, "joint.onnx", _joint(width, token))


def make(sane: Path, folder: Path) -> None:
    """Writes all overlays for the model folder `sane` to `folder`, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    out = Hostile(sane, folder)
    _files(out)
    _vocabularies(out)
    _contracts(out)
    _graphs(out)
    out.close()
