"""Random archives, made once for all tests, and helpers to export and run them."""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from bad_archives import members_of

from trt_asr_export import ExportOptions, export_model
from trt_asr_export.archive import CONFIG, WEIGHTS
from trt_asr_export.random_model import write_random_archive

SEED = 5


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """archives(kind, **changes) -> the path of a tiny .nemo file."""
    folder = tmp_path_factory.mktemp("archives")

    @cache
    def made(kind: str, changes: tuple) -> Path:
        path = folder / f"{kind}{len(list(folder.iterdir()))}.nemo"
        write_random_archive(
            path, kind, SEED, **{key: list(value) if isinstance(value, tuple) else value for key, value in changes}
        )
        return path

    def get(kind: str, **changes) -> Path:
        frozen = ((key, tuple(value) if isinstance(value, list) else value) for key, value in sorted(changes.items()))
        return made(kind, tuple(frozen))

    return get


@pytest.fixture
def parts(archives):
    """The members of a good archive, its configuration and its tensors."""
    members = members_of(archives("tdt"))
    config = yaml.safe_load(members[f"./{CONFIG}"])
    state = torch.load(io.BytesIO(members[f"./{WEIGHTS}"]), weights_only=True)
    return members, config, state


class Folder:
    """An exported folder, with its graphs as functions of NumPy arrays."""

    def __init__(self, path: Path):
        self.path = path
        self.contract = json.loads((path / "contract.json").read_text(encoding="utf-8"))

    @cache
    def session(self, part: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            str(self.path / self.contract[part]["file"]), options, providers=["CPUExecutionProvider"]
        )

    def run(self, part: str, *inputs) -> list[np.ndarray]:
        names = [port["name"] for port in self.contract[part]["inputs"]]
        return self.session(part).run(None, dict(zip(names, inputs)))


@pytest.fixture(scope="session")
def exported(archives, tmp_path_factory):
    """exported(kind, changes, **options) -> the Folder of an export, made once."""
    made: dict[str, Folder] = {}

    def get(kind: str, changes: dict | None = None, **options) -> Folder:
        key = repr((kind, sorted((changes or {}).items()), sorted(options.items())))
        if key not in made:
            out = tmp_path_factory.mktemp("exports") / "model"
            export_model(archives(kind, **(changes or {})), out, ExportOptions(**options))
            made[key] = Folder(out)
        return made[key]

    return get


def ragged(bins: int, lengths: list[int], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Features of rows of these lengths; what lies behind a row's end is not 0 but loud."""
    features = np.random.default_rng(seed).normal(size=(len(lengths), bins, max(lengths) + 1)).astype(np.float32)
    for row, length in enumerate(lengths):
        features[row, :, length:] = 50.0
    return features, np.array(lengths, np.int64)
