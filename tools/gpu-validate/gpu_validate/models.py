"""The full-size model of seeded random weights, made on the spot by tools/export, and what torch makes of its encoder."""

import json
import subprocess
import sys
import time
from pathlib import Path

from . import machine, native, report

FULL = "full"
PACED = "full-paced"
# CONTRACT: the paced model emits about as many tokens a second as speech does. SOURCE: 3 to 4 of Parakeet's tokens in a second of English.
# WHY: the random model emits several times as many, and decoding takes as long as there are tokens. TODO: none.
TOKENS_PER_S = 3.5


def _python(context, step: str, arguments: list[str]) -> dict:
    """Runs a module of this package in a process of its own; its last line is its figures."""
    log = context.out / "steps" / f"{step}.log"
    paths = [str(machine.REPOSITORY / "tools" / "export"), str(Path(__file__).resolve().parents[1])]
    began = time.monotonic()
    try:
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [sys.executable, "-m", "gpu_validate.with_torch", *arguments], stdout=subprocess.PIPE, stderr=file, text=True,
                timeout=context.limit_s, check=False, env=_environment(paths),
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        return report.step("fail", f"{native.TOO_LONG} {context.limit_s:.0f} s", {}, time.monotonic() - began)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        return report.step("fail", f"ended with {done.returncode}: {' / '.join(tail)}", {}, seconds)
    return report.step("pass", "", json.loads(done.stdout.strip().splitlines()[-1]), seconds)


def _environment(paths: list[str]) -> dict:
    import os

    return os.environ | {"PYTHONPATH": ":".join(paths)}


def _without_torch() -> dict | None:
    return None if machine.has_torch() else report.step("skipped", "no torch in this Python")


def make_full(context) -> dict:
    """The archive and its export. Both stay: the torch yardstick reads the archive."""
    folder = context.out / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return _without_torch() or _python(context, "model.full", ["full", str(folder), str(context.seed)])


def make_paced(context) -> dict:
    """The same model with a joint that favours blank as much as speech needs."""
    return _without_torch() or _python(context, "model.paced", ["paced", str(context.out / "models"), str(TOKENS_PER_S)])


def time_torch(context) -> dict:
    archive = context.out / "models" / f"{FULL}.nemo"
    if not archive.is_file():
        return report.step("skipped", "no full-size archive: run the part model first")
    return _without_torch() or _python(context, "torch.full", ["time", str(archive)])
