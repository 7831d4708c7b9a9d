"""Writes one set of goldens: manifest.txt with every number for programs, manifest.json about them for people, raw float32 files."""

import json
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

PLAIN = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._,'?!-")


def percent(text: str) -> str:
    """Percent-encodes `text` so that it is one field without blanks; the empty string is a single %."""
    encoded = "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8"))
    return encoded or "%"


def versions() -> dict[str, str]:
    """What made the goldens."""
    packages = ("nemo_toolkit", "torch", "onnx", "onnxruntime", "sentencepiece", "librosa", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


class SetWriter:
    """Collects the records of one set; close() writes them all, in place of what was there."""

    def __init__(self, folder: Path, name: str, note: str, **facts):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lines = ["format trt-asr-golden 1", f"set {name}"]
        self.people = {"set": name, "note": note, "made_with": versions(), **facts, "records": {}}
        self.arrays: dict[str, list[np.ndarray]] = {}

    def record(self, kind: str, *fields, **named) -> None:
        """One line of its own kind; `named` is what people see of it."""
        self.lines.append(" ".join([kind, *(str(field) for field in fields)]))
        if len(fields) == 1:
            self.people[kind] = fields[0]
        elif kind != "word":
            self._tell(fields[0], kind, named or list(fields[1:]))

    def ints(self, owner: str, kind: str, values) -> None:
        values = [int(v) for v in values]
        self.lines.append(" ".join(["ints", owner, kind, str(len(values)), *map(str, values)]))

    def floats(self, owner: str, kind: str, values) -> None:
        texts = [f"{np.float32(v):.9g}" for v in values]
        self.lines.append(" ".join(["floats", owner, kind, str(len(texts)), *texts]))

    def text(self, owner: str, kind: str, value: str) -> None:
        self.lines.append(f"text {owner} {kind} {percent(value)}")
        self._tell(owner, kind, value)

    def tensor(self, owner: str, kind: str, array: np.ndarray) -> None:
        """Appends `array` to KIND.f32."""
        file = f"{kind}.f32"
        stored = self.arrays.setdefault(file, [])
        offset = sum(a.size for a in stored)
        stored.append(np.ascontiguousarray(array, dtype="<f4"))
        self.lines.append(" ".join(["tensor", owner, kind, file, str(offset), str(array.ndim), *map(str, array.shape)]))

    def close(self) -> None:
        for old in self.folder.glob("*.f32"):
            old.unlink()
        for file, arrays in self.arrays.items():
            (self.folder / file).write_bytes(b"".join(a.tobytes() for a in arrays))
        (self.folder / "manifest.txt").write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        text = _compact(self.people)
        (self.folder / "manifest.json").write_text(text + "\n", encoding="utf-8")

    def _tell(self, owner: str, kind: str, value) -> None:
        self.people["records"].setdefault(owner, {})[kind] = value


def _compact(people: dict) -> str:
    """JSON with one line a record: readable, and diffs stay small."""
    records = people.pop("records")
    head = json.dumps(people, indent=2, ensure_ascii=False)[:-2]
    lines = [f"    {json.dumps(owner)}: {json.dumps(entry, ensure_ascii=False)}" for owner, entry in records.items()]
    return head + ',\n  "records": {\n' + ",\n".join(lines) + "\n  }\n}"
