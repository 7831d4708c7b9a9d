"""A reference on disk: reference.jsonl (one record a stage and item) and values.npz (arrays too long for a line)."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import numbers
from .errors import ParityError

FORMAT = "trt-asr-parity/2"
# WHY: a line of 64 numbers can still be read; longer ones go beside.
INLINE_VALUES_MAX = 64
REMEDY = "Make the reference again with `trt_asr_parity reference`."


@dataclass(frozen=True)
class Seeded:
    """An array that is known by how it is made; `kind` is normal (deviation, mean) or integers (in [0, end))."""

    shape: tuple[int, ...]
    seed: int
    stream: str
    kind: str = "normal"
    deviation: float = 1.0
    mean: float = 0.0
    end: int = 0

    def make(self) -> np.ndarray:
        if self.kind == "integers":
            return numbers.integers(self.seed, self.stream, self.shape, self.end)
        return numbers.normal(self.seed, self.stream, self.shape, self.deviation) + np.float32(self.mean)


@dataclass
class Item:
    """One question to every side: arrays in, and what else the stage needs to know."""

    stage: str
    name: str
    inputs: dict[str, np.ndarray | Seeded]
    facts: dict = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: given.make() if isinstance(given, Seeded) else given for name, given in self.inputs.items()}


@dataclass
class Reference:
    """What one side, mostly NeMo, answered: outputs by (stage, item name)."""

    head: dict
    items: list[Item]
    outputs: dict[tuple[str, str], dict]


class Writer:
    """Collects records; close() writes both files. Two runs on equal values give equal bytes."""

    def __init__(self, folder: Path, head: dict):
        self.folder = Path(folder)
        self.records: list[dict] = [{"record": "reference", "format": FORMAT, **head}]
        self.arrays: dict[str, np.ndarray] = {}
        self.known: dict[str, str] = {}

    def add(self, item: Item, outputs: dict) -> None:
        key = f"{item.stage}/{item.name}"
        self.records.append({
            "record": "item", "stage": item.stage, "item": item.name, "facts": item.facts,
            "inputs": {name: self._value(f"{key}/in/{name}", value) for name, value in item.inputs.items()},
            "outputs": {name: self._value(f"{key}/out/{name}", value) for name, value in outputs.items()},
        })  # fmt: skip

    def _value(self, key: str, value) -> dict:
        if isinstance(value, list):
            return {"strings": value}
        if isinstance(value, Seeded):
            array = value.make()
            told = {"seeded": {**value.__dict__, "shape": list(value.shape)}}
            return {**told, "dtype": array.dtype.name, "sha256": numbers.sha256_of(array)}
        told = {"dtype": value.dtype.name, "shape": list(value.shape), "sha256": numbers.sha256_of(value)}
        # An array that is already there, mostly an input of several stages, is stored once. By hash: 0.0 equals -0.0 and is not the same.
        if told["sha256"] in self.known:
            return {**told, "npz": self.known[told["sha256"]]}
        if value.size <= INLINE_VALUES_MAX and value.dtype.kind == "i":
            return {**told, "values": value.ravel().tolist()}
        self.known[told["sha256"]] = key
        self.arrays[key] = value
        return {**told, "npz": key}

    def close(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(record, ensure_ascii=False) for record in self.records]
        (self.folder / "reference.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        np.savez_compressed(self.folder / "values.npz", **self.arrays)


def _array(told: dict, arrays, where: str) -> np.ndarray | Seeded | list[str]:
    if "strings" in told:
        return told["strings"]
    if "seeded" in told:
        value = Seeded(**{**told["seeded"], "shape": tuple(told["seeded"]["shape"])})
        plain = value.make()
    else:
        values = told["values"] if "values" in told else arrays[told["npz"]]
        value = plain = np.asarray(values, told["dtype"]).reshape(told["shape"])
    found = numbers.sha256_of(plain)
    if found != told["sha256"]:
        raise ParityError(where, f"values of sha256 {told['sha256'][:16]}", found[:16], REMEDY)
    return value


def _lines(folder: Path) -> list[dict]:
    path = Path(folder) / "reference.jsonl"
    if not path.is_file():
        raise ParityError("reference", f"a file {path.name} in the folder", "none", REMEDY)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not records or records[0].get("format") != FORMAT:
        raise ParityError("reference.format", FORMAT, str(records and records[0].get("format")), REMEDY)
    return records


def head(folder: Path) -> dict:
    """What a reference is about."""
    return _lines(folder)[0]


def load(folder: Path) -> Reference:
    """Reads a reference; every value is checked against its hash."""
    told, *records = _lines(folder)
    found = Reference(told, [], {})
    with np.load(Path(folder) / "values.npz") as arrays:
        for record in records:
            where = f"{record['stage']}/{record['item']}"
            inputs = {name: _array(value, arrays, f"{where}.inputs.{name}") for name, value in record["inputs"].items()}
            outputs = {name: _array(value, arrays, f"{where}.outputs.{name}") for name, value in record["outputs"].items()}
            found.items.append(Item(record["stage"], record["item"], inputs, record["facts"]))
            found.outputs[record["stage"], record["item"]] = outputs
    return found
