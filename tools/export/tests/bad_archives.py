"""Good archives taken apart and put together damaged, and the exporter run on them."""

import io
import tarfile

import torch
import yaml

from trt_asr_export.archive import CONFIG, WEIGHTS
from trt_asr_export.cli import main


def members_of(path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def write_tar(path, members: dict[str, bytes], mode: str = "w:") -> None:
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def refused(capsys, tmp_path, nemo, *options) -> str:
    """Runs the exporter; returns the line on stderr after checking that it is one, and that nothing is left."""
    before = sorted(tmp_path.iterdir())
    assert main([str(nemo), str(tmp_path / "made" / "out"), *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.out == ""
    assert captured.err.startswith("trt-asr-export: expected ") and ", received " in captured.err
    assert sorted(tmp_path.iterdir()) == before
    return captured.err


def with_state(members, state) -> dict[str, bytes]:
    sink = io.BytesIO()
    torch.save(state, sink)
    return members | {f"./{WEIGHTS}": sink.getvalue()}


def with_config(members, config) -> dict[str, bytes]:
    return members | {f"./{CONFIG}": yaml.safe_dump(config).encode()}
