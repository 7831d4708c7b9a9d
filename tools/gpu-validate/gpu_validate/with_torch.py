"""What needs torch, onnx and tools/export; run as a process of its own. The last line of stdout is JSON.

full FOLDER SEED    FOLDER/full.nemo and FOLDER/full, a random model in the architecture of parakeet-tdt-0.6b-v3
paced FOLDER RATE   FOLDER/full-paced, the same with about RATE tokens a second
time ARCHIVE        the exporter's own encoder in fp16 under torch, on the first GPU
"""

import importlib.util
import json
import shutil
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np

from .models import FULL, PACED

BATCHES = (1, 8, 32, 128, 256)
FRAMES = 1000
FRAMES_PER_S = 100
REPEATS = 10


def _stand_in_for_fastjsonschema() -> bool:
    """Machines without it export too; then nobody has held the contract against its schema."""
    if importlib.util.find_spec("fastjsonschema") is not None:
        return False
    module = types.ModuleType("fastjsonschema")
    module.compile = lambda *_, **__: lambda value: value
    module.JsonSchemaException = module.JsonSchemaValueException = type("JsonSchemaValueException", (ValueError,), {})
    sys.modules["fastjsonschema"] = module
    return True


def full(folder: Path, seed: int) -> dict:
    unchecked = _stand_in_for_fastjsonschema()
    from trt_asr_export.export import export_model
    from trt_asr_export.options import ExportOptions
    from trt_asr_export.random_model import write_random_archive

    began = time.monotonic()
    archive = folder / f"{FULL}.nemo"
    write_random_archive(archive, "tdt", seed, "full")
    wrote = time.monotonic()
    export_model(archive, folder / FULL, ExportOptions(force=True))
    size = sum(file.stat().st_size for file in (folder / FULL).iterdir())
    return {
        "archive_s": wrote - began, "export_s": time.monotonic() - wrote, "bytes": size, "seed": seed,
        "contract_checked": not unchecked,
    }  # fmt: skip


class Search:
    """Greedy TDT over random features with ONNX Runtime, for a shift of the blank's logit."""

    def __init__(self, folder: Path):
        import onnxruntime

        contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        self.blank, self.durations = contract["decode"]["blank_id"], contract["decode"]["durations"]
        self.symbols_max = contract["decode"]["max_symbols_per_frame"]
        self.layers, self.width = contract["predictor"]["layers"], contract["predictor"]["width"]

        def open_graph(role: str):
            return onnxruntime.InferenceSession(str(folder / contract[role]["file"]), providers=["CPUExecutionProvider"])

        self.predictor, self.joint = open_graph("predictor"), open_graph("joint")
        features = np.random.default_rng(3).standard_normal((1, contract["features"]["mel_bins"], FRAMES), dtype=np.float32)
        inputs = {"features": features, "lengths": np.array([FRAMES], np.int64)}
        self.encoded = open_graph("encoder").run(["encoded"], inputs)[0]

    def _predict(self, token: int, h, c):
        inputs = {"token": np.array([[token]], np.int32), "state_h": h, "state_c": c}
        return self.predictor.run(["predicted", "next_state_h", "next_state_c"], inputs)

    def tokens_per_s(self, shift: float) -> float:
        zeros = np.zeros((self.layers, 1, self.width), np.float32)
        predicted, h, c = self._predict(self.blank, zeros, zeros)
        frame, symbols, tokens = 0, 0, 0
        while frame < self.encoded.shape[1]:
            inputs = {"encoded": self.encoded[:, frame : frame + 1], "predicted": predicted}
            logits = self.joint.run(["logits"], inputs)[0][0].copy()
            logits[self.blank] += shift
            label = int(logits[: self.blank + 1].argmax())
            advance = self.durations[int(logits[self.blank + 1 :].argmax())]
            if label == self.blank:
                advance = max(advance, 1)
            else:
                tokens += 1
                predicted, h, c = self._predict(label, h, c)
            symbols += 1
            if advance == 0 and symbols >= self.symbols_max:
                advance = 1
            symbols = 0 if advance else symbols
            frame += advance
        return tokens / (FRAMES / FRAMES_PER_S)


def find_shift(tokens_per_s, wanted: float, reach: float = 8.0) -> float:
    """The shift, within `reach`, that comes nearest to `wanted`. More blanks do not always make fewer tokens: so all are tried, then those
    around the best."""
    best, step = 0.0, 1.0
    span = reach
    for _ in range(2):
        tried = [best + step * index for index in range(-round(span / step), round(span / step) + 1)]
        best = min(tried, key=lambda shift: abs(tokens_per_s(shift) - wanted))
        span, step = step, step / 8
    return best


def shift_blank(joint: Path, target: Path, classes: int, blank: int, shift: float) -> None:
    """Writes the joint with another bias for blank."""
    import onnx

    model = onnx.load(str(joint))
    found = [one for one in model.graph.initializer if list(one.dims) == [classes]]
    if len(found) != 1:
        raise ValueError(f"{joint} has {len(found)} biases over {classes} classes; one was expected")
    bias = onnx.numpy_helper.to_array(found[0]).copy()
    bias[blank] += shift
    found[0].CopyFrom(onnx.numpy_helper.from_array(bias, found[0].name))
    onnx.save(model, str(target))


def paced(folder: Path, wanted: float) -> dict:
    source, target = folder / FULL, folder / PACED
    search = Search(source)
    shift = find_shift(search.tokens_per_s, wanted)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for file in source.iterdir():
        if file.name not in ("joint.onnx", "contract.json"):
            (target / file.name).symlink_to(file.resolve())
    contract = json.loads((source / "contract.json").read_text(encoding="utf-8"))
    classes = contract["joint"]["tokens"] + contract["joint"]["durations"]
    shift_blank(source / contract["joint"]["file"], target / contract["joint"]["file"], classes, search.blank, shift)
    shutil.copy(source / "contract.json", target)
    return {"shift": shift, "tokens_per_s": search.tokens_per_s(shift), "tokens_per_s_before": search.tokens_per_s(0.0)}


def _encoder(archive: Path):
    _stand_in_for_fastjsonschema()
    from trt_asr_export.archive import load_tensors, opened
    from trt_asr_export.checkpoint import Checkpoint
    from trt_asr_export.config import read_config
    from trt_asr_export.model import build
    from trt_asr_export.tokenizer import load_pieces

    with tempfile.TemporaryDirectory() as scratch, opened(archive, Path(scratch)) as nemo:
        config = read_config(nemo.config)
        pieces = load_pieces(nemo.file(config.tokenizer_model, "tokenizer.model_path"))
        return build(config, pieces.get_piece_size(), Checkpoint(load_tensors(nemo.weights))).encoder


def _half_encoder(archive: Path):
    """The encoder in fp16 throughout: the mask of the scores, which the exporter makes in fp32 for its graphs, too."""
    encoder = _encoder(archive).half()
    from trt_asr_export.nn import encoder as module

    mask_of = module.score_mask
    module.score_mask = lambda *arguments: mask_of(*arguments).half()
    return encoder


def time_encoder(archive: Path) -> dict:
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU")
    encoder = _half_encoder(archive).cuda()
    measured = []
    for batch in BATCHES:
        features = torch.randn(batch, encoder.config.mel_bins, FRAMES, device="cuda").half()
        lengths = torch.full((batch,), FRAMES, dtype=torch.int64, device="cuda")
        try:
            times = []
            with torch.inference_mode():
                for repeat in range(REPEATS + 3):
                    torch.cuda.synchronize()
                    began = time.perf_counter()
                    encoded, _ = encoder(features, lengths)
                    torch.cuda.synchronize()
                    if repeat >= 3:
                        times.append(time.perf_counter() - began)
            finite = bool(torch.isfinite(encoded).all())
        except torch.cuda.OutOfMemoryError as error:
            measured.append({"batch": batch, "encoder_ms": None, "rtfx": None, "error": str(error)[:200]})
            continue
        median = sorted(times)[len(times) // 2]
        audio_s = batch * FRAMES / FRAMES_PER_S
        one = {"batch": batch, "encoder_ms": 1000 * median, "min_ms": 1000 * min(times), "max_ms": 1000 * max(times)}
        measured.append(one | {"rtfx": audio_s / median, "finite": finite})
    return {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "frames": FRAMES, "precision": "fp16", "batches": measured}


def main(arguments: list[str]) -> None:
    what, folder = arguments[0], Path(arguments[1])
    if what == "full":
        told = full(folder, int(arguments[2]))
    elif what == "paced":
        told = paced(folder, float(arguments[2]))
    else:
        told = time_encoder(folder)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
