"""What a report says of the machine: versions, the processor, and how much memory a step took."""

import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .errors import ParityError

PACKAGES = ("torch", "numpy", "onnx", "onnxruntime", "nemo_toolkit")
OUTPUT_LINES_SHOWN = 30


def versions(with_nemo: bool = True) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        if name == "nemo_toolkit" and not with_nemo:
            continue
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def processor() -> str:
    """Model and count of the cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


@dataclass(frozen=True)
class Step:
    """One command: its wall time and the most memory it had resident."""

    name: str
    command: str
    seconds: float
    peak_bytes: int


def run_step(name: str, arguments: list[str], shown: str, environment: dict[str, str]) -> Step:
    """Runs `python arguments` and raises with the end of its output when it fails."""
    begin = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    tail: list[str] = []
    reader = threading.Thread(target=_keep_tail, args=(child.stdout, tail))
    reader.start()
    # wait4 gives this one child's own peak, where getrusage would give that of all children so far.
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    seconds = time.monotonic() - begin
    if child.returncode:
        raise ParityError(name, "exit code 0", str(child.returncode), "Its output ended with:\n" + "".join(tail))
    return Step(name, shown, seconds, usage.ru_maxrss * 1024)


def _keep_tail(stream, tail: list[str]) -> None:
    for line in stream:
        tail.append(line)
        del tail[:-OUTPUT_LINES_SHOWN]
        sys.stderr.write(line)
