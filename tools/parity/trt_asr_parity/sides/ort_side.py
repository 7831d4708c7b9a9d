"""The exported graphs, run by ONNX Runtime on the CPU."""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from ..errors import ParityError
from ..streaming import Caches
from ..words import Vocabulary
from .base import Side

NUMPY = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32}


class Graph:
    """One graph; tensors are given and returned in the order of the contract's `inputs` and `outputs`."""

    def __init__(self, path: Path, part: dict, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = [(told["name"], NUMPY[told["dtype"]]) for told in part["inputs"]]
        self.outputs = [told["name"] for told in part["outputs"]]
        self._check(path.name)

    def _check(self, name: str) -> None:
        for kind, told, found in (
            ("inputs", [i[0] for i in self.inputs], [i.name for i in self.session.get_inputs()]),
            ("outputs", self.outputs, [o.name for o in self.session.get_outputs()]),
        ):
            if sorted(told) != sorted(found):
                raise ParityError(f"{name}.{kind}", ", ".join(told), ", ".join(found), "Export the model again.")

    def run(self, *values: np.ndarray) -> list[np.ndarray]:
        given = {name: np.ascontiguousarray(value, kind) for (name, kind), value in zip(self.inputs, values)}
        found = self.session.run(self.outputs, given)
        return [value.astype(np.float32) if value.dtype == np.float16 else value for value in found]


def load_contract(folder: Path) -> dict:
    path = Path(folder) / "contract.json"
    if not path.is_file():
        raise ParityError("model", "a folder with contract.json", Path(folder).name, "Export the model first.")
    return json.loads(path.read_text(encoding="utf-8"))


def load_export(folder: Path) -> tuple[dict, Vocabulary]:
    """The contract of an exported folder, and its pieces."""
    contract = load_contract(folder)
    lines = (Path(folder) / contract["tokenizer"]["file"]).read_text(encoding="utf-8").split("\n")
    return contract, Vocabulary(lines)


class OrtSide(Side):
    """Loads each graph when it is first asked: a folder is not asked for all it has."""

    def __init__(self, folder: Path, threads: int = 0):
        super().__init__(*load_export(folder))
        self.folder, self.threads, self.graphs = Path(folder), threads, {}

    def graph(self, part: str) -> Graph:
        if part not in self.graphs:
            told = self.contract[part]
            self.graphs[part] = Graph(self.folder / told["file"], told, self.threads)
        return self.graphs[part]

    def encode(self, features_BMT: np.ndarray, lengths_B: np.ndarray):
        return self.graph("encoder").run(features_BMT, lengths_B)

    def stream(self, features_BMT: np.ndarray, lengths_B: np.ndarray, caches: Caches, first: bool):
        features_BMT, lengths_B = self.plan.padded(features_BMT, lengths_B, first)
        given = (features_BMT, lengths_B, caches.channel_BLKD, caches.time_BLDK, caches.channel_len_B)
        encoded, lengths, *after = self.graph("streaming").run(*given)
        return encoded, lengths, Caches(*after)

    def predict(self, token_B1: np.ndarray, state_h: np.ndarray, state_c: np.ndarray):
        return self.graph("predictor").run(token_B1, state_h, state_c)

    def joint(self, encoded_B1D: np.ndarray, predicted_B1H: np.ndarray) -> np.ndarray:
        return self.graph("joint").run(encoded_B1D, predicted_B1H)[0]
