"""The exported graphs, run by ONNX Runtime with the plainest loop: the check that an export equals NeMo."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime


@dataclass
class Hypothesis:
    """What greedy decoding found, and how lively and how certain the way there was."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    blanks: int = 0
    guard_hits: int = 0
    # The smallest distance between the best and the second-best logit over all decisions: below the engines'
    # rounding differences a golden would depend on the machine.
    margin_min: float = float("inf")


def _margin(logits: np.ndarray) -> float:
    second, first = np.partition(logits, -2)[-2:]
    return float(first - second)


def max_prob_confidence(logits_V1: np.ndarray, label: int) -> float:
    """NeMo's `max_prob`: the label's softmax over tokens and blank, mapped so that a uniform guess gives 0."""
    exponent = np.exp(logits_V1.astype(np.float64) - logits_V1.max())
    classes = logits_V1.size
    return float((exponent[label] / exponent.sum() * classes - 1) / (classes - 1))


def _ctc(log_probs_TC: np.ndarray, blank: int) -> Hypothesis:
    """Greedy CTC. In NeMo a token ends on its own first frame and begins on that of the token before."""
    found = Hypothesis()
    before, end = blank, None
    for frame, log_probs_C in enumerate(log_probs_TC):
        label = int(log_probs_C.argmax())
        found.margin_min = min(found.margin_min, _margin(log_probs_C))
        confidence = max_prob_confidence(log_probs_C, label)
        if label == blank:
            found.blanks += 1
        elif label == before:
            found.confidence[-1] = min(found.confidence[-1], confidence)
        else:
            begin = max(0, frame - 1) if end is None else end
            found.tokens.append(label)
            found.frames.append(begin)
            found.durations.append(frame - begin)
            found.confidence.append(confidence)
            end = frame
        before = label
    return found


class OrtModel:
    """The graphs of an 'ours' folder; CTC has the encoder alone. What the folder lacks is None."""

    def __init__(self, folder: Path):
        self.contract = json.loads((Path(folder) / "contract.json").read_text(encoding="utf-8"))
        self.rule = self.contract["decode"]["rule"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.encoder, self.streaming, self.predictor, self.joint = (
            onnxruntime.InferenceSession(
                str(Path(folder) / self.contract[part]["file"]), options, providers=["CPUExecutionProvider"]
            )
            if "file" in self.contract.get(part, {})
            else None
            for part in ("encoder", "streaming", "predictor", "joint")
        )

    def encode(self, features_BMT: np.ndarray, lengths_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, lengths = (port["name"] for port in self.contract["encoder"]["inputs"])
        return self.encoder.run(None, {features: features_BMT, lengths: lengths_B})

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.contract["predictor"]["layers"], 1, self.contract["predictor"]["width"])
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def predict(self, token: int, state) -> tuple[np.ndarray, tuple]:
        inputs = {"token": np.array([[token]], np.int32), "state_h": state[0], "state_c": state[1]}
        predicted, next_h, next_c = self.predictor.run(None, inputs)
        return predicted, (next_h, next_c)

    def logits(self, encoded_D: np.ndarray, predicted_11H: np.ndarray) -> np.ndarray:
        inputs = {"encoded": encoded_D[None, None, :], "predicted": predicted_11H}
        return self.joint.run(None, inputs)[0][0]

    def decode(self, encoded_TD: np.ndarray) -> Hypothesis:
        """Greedy decoding as NeMo does it; of CTC, `encoded_TD` are the log-probabilities."""
        if self.rule == "ctc":
            return _ctc(encoded_TD, self.contract["decode"]["blank_id"])
        return self._transducer(encoded_TD)

    def _transducer(self, encoded_TD: np.ndarray) -> Hypothesis:
        """TDT and RNN-T as NeMo's greedy_batch does them. An RNN-T stays on its frame after a token."""
        decode = self.contract["decode"]
        blank, durations = decode["blank_id"], decode.get("durations")
        found = Hypothesis()
        predicted, state = self.predict(blank, self.start())
        frame, on_frame = 0, 0
        while frame < len(encoded_TD):
            logits = self.logits(encoded_TD[frame], predicted)
            labels, jumps = logits[: blank + 1], logits[blank + 1 :]
            label, duration = int(labels.argmax()), durations[int(jumps.argmax())] if durations else 0
            found.margin_min = min(found.margin_min, _margin(labels), *([_margin(jumps)] if durations else []))
            if label == blank:
                found.blanks += 1
                frame, on_frame = frame + max(duration, 1), 0
                continue
            found.tokens.append(label)
            found.frames.append(frame)
            # NeMo gives a token of an RNN-T one frame.
            found.durations.append(duration if durations else 1)
            found.confidence.append(max_prob_confidence(labels, label))
            predicted, state = self.predict(label, state)
            on_frame = on_frame + 1 if duration == 0 else 0
            if on_frame == decode["max_symbols_per_frame"]:
                found.guard_hits += 1
                frame, on_frame = frame + 1, 0
            frame += duration
        return found
