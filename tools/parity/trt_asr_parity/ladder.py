"""Climbs the rungs NeMo -> PyTorch -> ONNX Runtime over all items and collects the checks."""

import time
from dataclasses import dataclass, field

from . import stages
from .compare import Check, Comparison
from .store import Item

# Lower side / upper side: the upper is held against the lower.
RUNGS = ("nemo/torch", "torch/ort", "nemo/ort")


@dataclass
class Climb:
    """What one ladder found."""

    precision: str
    rungs: list[str]
    checks: list[Check] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if check.failed]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and not self.failures


class Ladder:
    """`nemo` maps (stage, item) to what NeMo answered, or is None: then the ladder starts at PyTorch, and says so.
    `torch_side` is None when only the exported folder is there.

    An item is dropped once compared, so that memory holds one item's arrays at a time.
    """

    def __init__(self, contract: dict, torch_side, ort_side, nemo: dict | None):
        self.contract, self.torch_side, self.ort_side, self.nemo = contract, torch_side, ort_side, nemo
        # An fp32 graph must give what PyTorch gives; of the others it is told how far they are.
        self.strict = contract["precision"] == "fp32"

    def rungs(self) -> list[str]:
        sides = [name for name, side in (("nemo", self.nemo), ("torch", self.torch_side), ("ort", self.ort_side)) if side is not None]
        return [rung for rung in RUNGS if set(rung.split("/")) <= set(sides)]

    def climb(self, items: list[Item], say=lambda text: None) -> Climb:
        found = Climb(self.contract["precision"], self.rungs())
        for item in items:
            begin = time.monotonic()
            found.checks += self._item(item)
            spent = time.monotonic() - begin
            found.seconds[item.stage] = found.seconds.get(item.stage, 0.0) + spent
            say(f"{item.stage}/{item.name}: {spent:.1f} s")
        return found

    def _answers(self, item: Item) -> dict[str, dict]:
        answers = {}
        if self.torch_side is not None:
            answers["torch"] = stages.run(self.torch_side, item, self.contract)
        # The front end is no graph: what stands for ours is one and the same code on both sides.
        if item.stage != "features":
            answers["ort"] = stages.run(self.ort_side, item, self.contract)
        if self.nemo is not None:
            answers["nemo"] = self.nemo[item.stage, item.name]
        return answers

    def _item(self, item: Item) -> list[Check]:
        answers, checks = self._answers(item), []
        for rung in self.rungs():
            lower, upper = rung.split("/")
            if lower in answers and upper in answers:
                # Our PyTorch modules are fp32 whatever the graphs are.
                strict = self.strict or upper == "torch"
                checks += Comparison(rung, item, self.contract, strict).run(answers[upper], answers[lower])
        return checks
