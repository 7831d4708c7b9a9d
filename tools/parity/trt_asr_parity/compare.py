"""Two sides' answers to one item -> checks, each a number with what it is held against."""

from dataclasses import asdict, dataclass, field

import numpy as np

from . import metrics
from .metrics import Tolerance
from .store import Item

# CONTRACT: a contract may leave its tolerances out. SOURCE: those of contracts/parakeet-tdt-0.6b-v3.contract.json, and for
# features those of tools/golden. WHY: a folder made by others is compared as strictly as one of ours. TODO: none.
TOLERANCES = {
    "log_mel": Tolerance(3e-4, 0.0),
    "features": Tolerance(1e-3, 0.0),
    "encoder": Tolerance(1e-4, 1e-4),
    "predictor": Tolerance(1e-4, 1e-4),
    "joint": Tolerance(1e-4, 1e-4),
    "cache_last_channel": Tolerance(1e-4, 1e-4),
    "cache_last_time": Tolerance(0.1, 0.0),
}
# Which line of the contract's tolerances holds for which output.
LINE_OF = {
    "encoded": "encoder", "predicted": "predictor", "state_h": "predictor", "state_c": "predictor", "logits": "joint",
    "logits_alone": "joint", "cache_last_channel_next": "cache_last_channel", "cache_last_time_next": "cache_last_time",
}  # fmt: skip
EXACT = ("encoded_lengths", "chunk_rows", "cache_last_channel_len_next", "rows", "tokens", "frames", "durations",
         "word_frames")  # fmt: skip


@dataclass
class Check:
    """`gated` says whether a failure fails the rung: the numbers of a reduced precision are told, not gated."""

    rung: str
    stage: str
    item: str
    output: str
    passed: bool
    gated: bool
    facts: dict = field(default_factory=dict)
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.gated and not self.passed

    def record(self) -> dict:
        return asdict(self)


def tolerance_of(contract: dict, output: str) -> Tolerance:
    if output == "features":
        line = "features" if contract["features"]["normalization"] == "per_feature" else "log_mel"
    else:
        line = LINE_OF[output]
    told = contract.get("tolerances", {}).get(line)
    return Tolerance(told["absolute"], told["relative"]) if told else TOLERANCES[line]


class Comparison:
    """All outputs of one item, `upper` against `lower`, on one rung."""

    def __init__(self, rung: str, item: Item, contract: dict, strict: bool):
        self.rung, self.item, self.contract, self.strict = rung, item, contract, strict
        self.checks: list[Check] = []
        self.rows: list[int] = []

    def _add(self, output: str, passed: bool, gated: bool, facts: dict, reason: str = "") -> None:
        where = (self.rung, self.item.stage, self.item.name, output)
        self.checks.append(Check(*where, bool(passed), gated, facts, "" if passed else reason))

    def run(self, upper: dict, lower: dict) -> list[Check]:
        self.rows = lower.get("chunk_rows", np.zeros(0, np.int64)).tolist()
        for output, wanted in lower.items():
            if output not in upper:
                self._add(output, False, True, {}, "this side did not answer")
            elif output == "words":
                same = list(upper[output]) == list(wanted)
                self._add(output, same, self.strict, {"same": same}, "other words")
            elif output == "classes":
                self._agree("argmax token", upper[output], wanted)
            elif output in EXACT:
                self._exact(output, upper[output], wanted)
            else:
                self._close(output, upper[output], wanted)
        if self.item.stage in ("decode", "transcribe"):
            self._edit_rate(upper, lower)
        return self.checks

    def _exact(self, output: str, found: np.ndarray, wanted: np.ndarray) -> None:
        same = found.shape == wanted.shape and bool((found == wanted).all())
        # Lengths follow from the input's lengths alone, so no precision excuses a difference.
        gated = self.strict or output in ("encoded_lengths", "chunk_rows", "cache_last_channel_len_next")
        self._add(output, same, gated, {"same": same, "values": int(wanted.size)}, "not identical")

    def _close(self, output: str, found: np.ndarray, wanted: np.ndarray) -> None:
        if found.shape != wanted.shape:
            reason = f"expected the shape {list(wanted.shape)}, received {list(found.shape)}"
            self._add(output, False, True, {}, reason)
            return
        apart = metrics.distance(found, wanted, tolerance_of(self.contract, output))
        finite = bool(np.isfinite(found).all())
        reason = f"{apart.max:.3g} is {apart.excess:.3g} times the tolerance" if finite else "a value is not finite"
        self._add(output, apart.excess <= 1.0, self.strict or not finite, asdict(apart), reason)
        if output == "logits":
            self._agreement(found, wanted)
        if self.item.stage == "closed-loop" and output == "encoded":
            self._drift(found, wanted)

    def _agreement(self, found: np.ndarray, wanted: np.ndarray) -> None:
        """Whether the same class wins: of the token head and, apart, of the duration head."""
        classes = self.contract["decode"]["blank_id"] + 1
        heads = {"argmax token": slice(0, classes)}
        if self.contract["joint"]["durations"]:
            heads["argmax duration"] = slice(classes, None)
        for name, part in heads.items():
            self._agree(name, found[:, part].argmax(axis=1), wanted[:, part].argmax(axis=1))

    def _agree(self, name: str, found: np.ndarray, wanted: np.ndarray) -> None:
        share = float((found == wanted).mean()) if found.shape == wanted.shape and wanted.size else float(found.shape == wanted.shape)
        self._add(name, share == 1.0, self.strict, {"agreement": share, "rows": int(wanted.size)}, "another class wins")

    def _drift(self, found: np.ndarray, wanted: np.ndarray) -> None:
        """A loop drifts when the line through its chunks' errors gains more than the encoder's tolerance."""
        line = metrics.drift(found, wanted, self.rows, self.item.facts["keep"])
        limit = tolerance_of(self.contract, "encoded").absolute
        facts = {"chunks": line.chunks, "chunk_errors": line.chunk_errors, "slope_per_100_chunks": line.slope * 100,
                 "at_begin": line.at_begin, "growth": line.growth}  # fmt: skip
        self._add("drift", line.growth <= limit, self.strict, facts, f"grows by {line.growth:.3g}, more than {limit:g}")

    def _edit_rate(self, upper: dict, lower: dict) -> None:
        """Over the whole item; a batch is cut into its rows, so that no edit crosses from one to the next."""
        changed = 0
        pairs = zip(_rows(upper), _rows(lower))
        for found, wanted in pairs:
            changed += metrics.edits(found, wanted)
        total = int(lower["rows"].sum())
        rate = changed / max(total, 1)
        self._add("token edit rate", changed == 0, self.strict, {"edits": changed, "tokens": total, "rate": rate},
                  f"{changed} edits on {total} tokens")  # fmt: skip


def _rows(told: dict) -> list[list[int]]:
    ends = np.cumsum(told["rows"])
    return [told["tokens"][end - count : end].tolist() for end, count in zip(ends, told["rows"])]
