"""Greedy decoding in its plainest form, over any side's predictor and joint; one rule a model: tdt, rnnt or ctc."""

from dataclasses import asdict, dataclass, field

import numpy as np


@dataclass
class Transcript:
    """Tokens with the frame each was found at; `durations` is empty but for tdt."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    margin_min: float = float("inf")
    blanks: int = 0
    guard_hits: int = 0

    def decisions(self) -> dict[str, np.ndarray]:
        return {name: np.array(asdict(self)[name], np.int64) for name in ("tokens", "frames", "durations")}


def margin_of(logits_C: np.ndarray) -> float:
    """How far the best is before the second best: a decision below a rung's error may fall either way."""
    if logits_C.size < 2:
        return float("inf")
    second, first = np.partition(logits_C, -2)[-2:]
    return float(first - second)


class _Predictor:
    """The predictor's output after the last non-blank; the start symbol is the blank."""

    def __init__(self, side, contract: dict):
        shape = (contract["predictor"]["layers"], 1, contract["predictor"]["width"])
        self.side = side
        self.state = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        self.push(contract["decode"]["blank_id"])

    def push(self, token: int) -> None:
        predicted, *state = self.side.predict(np.array([[token]], np.int64), *self.state)
        self.predicted_B1H, self.state = predicted, tuple(state)


def transducer(side, contract: dict, encoded_TD: np.ndarray) -> Transcript:
    """TDT and RNN-T: an RNN-T is a TDT whose label never moves on and whose blank moves on by one frame."""
    rule = contract["decode"]
    blank, durations, cap = rule["blank_id"], rule.get("durations", []), rule["max_symbols_per_frame"]
    found, predictor = Transcript(), _Predictor(side, contract)
    frame, on_frame = 0, 0
    # CONTRACT: at most `cap` labels a frame, so the loop ends after len * (cap + 1) steps.
    while frame < len(encoded_TD):
        logits = side.joint(encoded_TD[None, frame : frame + 1], predictor.predicted_B1H)[0]
        labels, jumps = logits[: blank + 1], logits[blank + 1 :]
        label = int(labels.argmax())
        jump = durations[int(jumps.argmax())] if durations else 0
        found.margin_min = min(found.margin_min, margin_of(labels), margin_of(jumps))
        if label == blank:
            found.blanks += 1
            frame, on_frame = frame + max(jump, 1), 0
            continue
        found.tokens.append(label)
        found.frames.append(frame)
        if durations:
            found.durations.append(jump)
        predictor.push(label)
        on_frame = on_frame + 1 if jump == 0 else 0
        if on_frame == cap:
            found.guard_hits += 1
            jump, on_frame = 1, 0
        frame += jump
    return found


def ctc(contract: dict, log_probs_TC: np.ndarray) -> Transcript:
    """A label counts when it differs from the frame before; the blank separates."""
    blank, found, before = contract["decode"]["blank_id"], Transcript(), contract["decode"]["blank_id"]
    for frame, scores in enumerate(log_probs_TC):
        label = int(scores.argmax())
        found.margin_min = min(found.margin_min, margin_of(scores))
        found.blanks += label == blank
        if label not in (blank, before):
            found.tokens.append(label)
            found.frames.append(frame)
        before = label
    return found


def decode(side, contract: dict, encoded_TD: np.ndarray) -> Transcript:
    if contract["decode"]["rule"] == "ctc":
        return ctc(contract, encoded_TD)
    return transducer(side, contract, encoded_TD)
