"""Gives a transducer of random weights a speaking pace: python emission.py MODEL OUTPUT --audio FILE.wav [--rate 3.5]

Random weights emit many tokens a second, or none, so that a benchmark on them shows a decode loop that no trained model has. This
changes nothing but the bias of the joint's last layer: durations are drawn towards what speech has, and blank is raised or lowered
until the greedy search gives `rate` tokens for each second of the audio. Encoder, predictor and every shape stay as they are.

OUTPUT is a folder of links to MODEL's files with another joint, and emission.json with the offsets that were added; `--offsets
OTHER/emission.json` adds those of another folder instead of finding some, for another layout or precision of the same weights.
Needs numpy, onnx, onnxruntime, and for finding offsets trt_asr_export (tools/export).
"""

import argparse
import hashlib
import json
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx

# SOURCE: TDT models of five durations, 0 to 4 frames. WHY: 2 frames a step is 6.25 steps a second. TODO: what trained weights do.
DURATION_SHARES = (0.02, 0.38, 0.3, 0.2, 0.1)
ROUNDS = 14
SYMBOLS_MAX = 10
FRAMES_A_SECOND = 12.5
JOINTS = ("joint.onnx", "joiner.onnx", "joiner.int8.onnx", "joint.int8.onnx")
PREDICTORS = ("predictor.onnx", "decoder.onnx", "decoder.int8.onnx", "predictor.int8.onnx")
ENCODERS = ("encoder.onnx", "encoder.int8.onnx")


def first_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).exists():
            return folder / name
    sys.exit(f"expected one of {', '.join(names)} in {folder}")


def bias_of(joint: onnx.ModelProto):
    """The initializer that the last Add puts onto the logits."""
    inits = {init.name: init for init in joint.graph.initializer}
    for node in reversed(joint.graph.node):
        found = [inits[name] for name in node.input if name in inits and len(inits[name].dims) == 1]
        if node.op_type == "Add" and found and found[0].data_type == onnx.TensorProto.FLOAT:
            return found[0]
    sys.exit("expected a joint that ends in an Add of an fp32 bias")


class Graph:
    """A graph whose inputs are given in order; dynamic extents become those of the values."""

    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = self.session.get_inputs()

    def run(self, *values: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {told.name: value for told, value in zip(self.inputs, values, strict=True)})

    def vector(self, index: int, values: np.ndarray) -> np.ndarray:
        """[D] as the input wants it: its fixed extent of D, and 1 everywhere else."""
        shape = [extent if extent == values.size else 1 for extent in self.inputs[index].shape]
        return values.reshape(shape).astype(np.float32)


class Search:
    """Greedy TDT over the encoder's output of one piece of audio, with offsets on the joint's bias."""

    def __init__(self, folder: Path, samples: np.ndarray, classes: int):
        self.predictor = Graph(first_of(folder, PREDICTORS))
        self.joint = Graph(first_of(folder, JOINTS))
        self.encoded_TD = encode(folder, samples, self.joint)
        self.blank = classes - len(DURATION_SHARES) - 1
        self.state = np.zeros([2 if isinstance(e, str) or e is None else e for e in self.states()], np.float32)

    def states(self) -> list:
        """[L, 1, H]"""
        shape = list(self.predictor.inputs[-1].shape)
        shape[1] = 1
        return shape

    def predict(self, token: int, h: np.ndarray, c: np.ndarray):
        targets = np.array([[token]], np.int32)
        length = [np.array([1], np.int32)] if len(self.predictor.inputs) == 4 else []
        outputs = self.predictor.run(targets, *length, h, c)
        return outputs[0], outputs[-2], outputs[-1]

    def run(self, offsets: np.ndarray):
        """Tokens, steps, and how often each duration was taken; the raw logits of all steps."""
        h = c = self.state
        predicted, next_h, next_c = self.predict(self.blank, h, c)
        frame = tokens = steps = symbols = 0
        durations = np.zeros(len(DURATION_SHARES))
        seen = []
        while frame < len(self.encoded_TD):
            given = self.joint.vector(0, self.encoded_TD[frame]), self.joint.vector(1, predicted.reshape(-1))
            raw = self.joint.run(*given)[0].reshape(-1)
            seen.append(raw)
            logits = raw + offsets
            steps += 1
            label = int(np.argmax(logits[: self.blank + 1]))
            duration = int(np.argmax(logits[self.blank + 1 :]))
            durations[duration] += 1
            if label == self.blank:
                duration = max(duration, 1)
            else:
                tokens += 1
                predicted, next_h, next_c = self.predict(label, next_h, next_c)
            symbols = symbols + 1 if duration == 0 else 0
            if symbols >= SYMBOLS_MAX:
                duration, symbols = 1, 0
            frame += duration
        return tokens, steps, durations, np.array(seen)


def encode(folder: Path, samples: np.ndarray, joint: Graph) -> np.ndarray:
    """[T, D]"""
    import torch
    from trt_asr_export.mel import LogMel

    contract = folder / "contract.json"
    told = json.loads(contract.read_text())["features"] if contract.exists() else STANDARD_FEATURES
    features, frames = LogMel(SimpleNamespace(**told))(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    features = features[:, :, : int(frames[0])].numpy()
    encoder = Graph(first_of(folder, ENCODERS))
    encoded = encoder.run(features, np.array([features.shape[2]], np.int64))[0][0]
    width = next(extent for extent in joint.inputs[0].shape[1:] if isinstance(extent, int) and extent > 1)
    return encoded if encoded.shape[1] == width else encoded.T


# SOURCE: contracts/parakeet-tdt-0.6b-v3.contract.json, for folders without a contract.
STANDARD_FEATURES = {
    "sample_rate_hz": 16000, "mel_bins": 128, "fft_samples": 512, "window_samples": 400, "hop_samples": 160,
    "pre_emphasis": 0.97, "mel_low_hz": 0.0, "mel_high_hz": 8000.0, "log_guard": 2.0**-24,
    "normalization": "per_feature", "normalization_epsilon": 1e-5,
}  # fmt: skip


def find_offsets(search: Search, classes: int, seconds: float, rate: float) -> tuple[np.ndarray, dict]:
    """Blank by bisection; the durations drift towards their shares in each round."""
    offsets = np.zeros(classes, np.float32)
    tokens, _, _, seen = search.run(offsets)
    natural = tokens / seconds
    durations = slice(search.blank + 1, classes)
    offsets[durations] = -seen[:, durations].mean(axis=0)
    spread = float(seen[:, durations].std(axis=0).mean())
    best = seen[:, : search.blank].max(axis=1) - seen[:, search.blank]
    low, high = float(best.min()) - 10 * float(best.std() + 1), float(best.max()) + 10 * float(best.std() + 1)
    closest = None
    for turn in range(ROUNDS):
        offsets[search.blank] = (low + high) / 2
        tokens, steps, taken, _ = search.run(offsets)
        found = {"tokensPerSecond": tokens / seconds, "stepsPerSecond": steps / seconds,
                 "durations": (taken / steps).tolist()}  # fmt: skip
        print(f"blank {offsets[search.blank]:+.3f}: {json.dumps(found)}", file=sys.stderr)
        if closest is None or abs(tokens / seconds - rate) < abs(closest[1]["tokensPerSecond"] - rate):
            closest = offsets.copy(), found
        if tokens / seconds > rate:
            low = float(offsets[search.blank])
        else:
            high = float(offsets[search.blank])
        # The shares first: they move the rate, too.
        if turn < ROUNDS // 2:
            step = np.log(np.array(DURATION_SHARES) / np.maximum(taken / steps, 0.01))
            offsets[durations] += 0.3 * spread * step.astype(np.float32)
            low, high = low - 0.3 * (high - low), high + 0.3 * (high - low)
    return closest[0], {**closest[1], "naturalTokensPerSecond": natural}


def write(folder: Path, output: Path, joint: onnx.ModelProto, name: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.name not in (name, "contract.json", "emission.json") and not (output / file.name).exists():
            (output / file.name).symlink_to(file.resolve())
    onnx.save(joint, str(output / name))
    contract = folder / "contract.json"
    if contract.exists():
        told = json.loads(contract.read_text())
        data = (output / name).read_bytes()
        told["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (output / "contract.json").write_text(json.dumps(told, indent=2) + "\n")


def read_wav(path: Path, seconds: float) -> np.ndarray:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16000, 1, 2):
            sys.exit(f"expected 16 kHz mono 16-bit in {path}")
        data = file.readframes(min(file.getnframes(), int(seconds * 16000)))
    return np.frombuffer(data, np.int16).astype(np.float32) / 32768


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--rate", type=float, default=3.5, help="tokens a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the audio that are used")
    parser.add_argument("--offsets", type=Path)
    asked = parser.parse_args()
    if (asked.audio is None) == (asked.offsets is None):
        parser.error("expected one of --audio and --offsets")
    path = first_of(asked.model, JOINTS)
    joint = onnx.load(str(path))
    bias = bias_of(joint)
    values = onnx.numpy_helper.to_array(bias).astype(np.float32)
    if asked.offsets is not None:
        told = json.loads(asked.offsets.read_text())
        offsets = np.zeros(values.size, np.float32)
        offsets[told["blank"]] = told["blankOffset"]
        offsets[told["blank"] + 1 :] = told["durationOffsets"]
    else:
        samples = read_wav(asked.audio, asked.seconds)
        search = Search(asked.model, samples, values.size)
        offsets, found = find_offsets(search, values.size, len(samples) / 16000, asked.rate)
        blank = search.blank
        told = {"blank": blank, "blankOffset": float(offsets[blank]),
                "durationOffsets": offsets[blank + 1 :].tolist(), **found}  # fmt: skip
    bias.CopyFrom(onnx.numpy_helper.from_array(values + offsets, bias.name))
    write(asked.model, asked.output, joint, path.name)
    (asked.output / "emission.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
