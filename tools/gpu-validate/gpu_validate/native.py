"""The native executable: built with CMake, given a job, asked for figures."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import machine

EXECUTABLE = "trt_asr_gpu_validate"
# How the reason of a step begins that ran out of time.
TOO_LONG = "took longer than"


class NativeError(Exception):
    """It could not be built."""


def _run(command: list[str], log: Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        print("$", *command, file=file, flush=True)
        if subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode != 0:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            raise NativeError("\n".join([f"{command[0]} failed; {log} has all of it:", *tail]))


def build(folder: Path, tensorrt: Path | None, jobs: int) -> Path:
    """Builds the executable with plug-ins and kernels beside it, and returns it. Raises NativeError."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    log.unlink(missing_ok=True)
    options = ["-DTRT_ASR_ADDON=OFF", "-DTRT_ASR_GPU_VALIDATE=ON"]
    ort = machine.ort_library()
    if ort is not None:
        options.append(f"-DTRT_ASR_ORT_LIBRARY={ort}")
    if tensorrt is not None:
        options.append(f"-DTENSORRT_ROOT={tensorrt}")
    capability = machine.compute_capability()
    if capability is not None:
        options.append(f"-DCMAKE_CUDA_ARCHITECTURES={capability}")
    if machine.nvcc() is not None:
        options.append(f"-DCMAKE_CUDA_COMPILER={machine.nvcc()}")
        # The plug-ins need the headers of the same toolkit, wherever it is.
        options.append(f"-DCUDAToolkit_ROOT={Path(machine.nvcc()).resolve().parents[1]}")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    _run(["cmake", *generator, "-S", str(machine.REPOSITORY), "-B", str(folder), *options], log)
    _run(["cmake", "--build", str(folder), "--target", EXECUTABLE, "--parallel", str(jobs)], log)
    return folder / "test" / "native" / EXECUTABLE


@dataclass(frozen=True)
class Profile:
    """Extents that engines are built for: min, opt, max."""

    batch: tuple[int, int, int]
    frames: tuple[int, int, int]
    steps: tuple[int, int, int]

    def lines(self) -> dict[str, str]:
        axes = {"encoder.batch": self.batch, "encoder.frames": self.frames, "prediction.batch": self.steps}
        return {f"profile.{axis}": " ".join(map(str, extents)) for axis, extents in axes.items()}


def model_lines(folder: Path, name: str) -> dict[str, str]:
    """A model folder's files and contract as keys and values."""
    contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    lines = {"model.name": name, "model.contract": str(folder / "contract.json")}
    for role in ("encoder", "predictor", "joint", "streaming"):
        if "file" in contract.get(role, {}):
            lines[f"model.{role}"] = str(folder / contract[role]["file"])
    lines["model.vocabulary"] = str(folder / contract["tokenizer"]["file"])
    for section in ("features", "encoder", "predictor", "tokenizer", "decode", "streaming"):
        for key, value in contract.get(section, {}).items():
            if isinstance(value, dict):
                lines |= {f"{section}.{key}.{one}": str(number) for one, number in value.items()}
            elif isinstance(value, bool):
                lines[f"{section}.{key}"] = str(int(value))
            elif isinstance(value, (int, float, str)):
                lines[f"{section}.{key}"] = str(value)
            elif isinstance(value, list) and all(isinstance(one, int) for one in value):
                lines[f"{section}.{key}"] = " ".join(map(str, value))
    return lines


def run(
    executable: Path, part: str, lines: dict, target: Path, limit_s: float, prefix: list[str] | None = None, environment: dict | None = None
) -> dict:  # fmt: skip
    """Runs a part and returns its document, also where it crashes or takes too long. `prefix`: what is to run the executable;
    `environment`: variables besides those that there are."""
    job, out, log = (target.with_name(f"{target.name}.{kind}") for kind in ("job", "native", "log"))
    job.write_text("".join(f"{key} {value}\n" for key, value in lines.items() if str(value)), encoding="utf-8")
    out.unlink(missing_ok=True)
    try:
        with log.open("w", encoding="utf-8") as file:
            code = subprocess.run(
                [*(prefix or []), str(executable), part, str(job), str(out)], stdout=file, stderr=subprocess.STDOUT, timeout=limit_s,
                check=False, env=os.environ | {"TRT_ASR_VALIDATE_FIXTURES": str(machine.REPOSITORY / "test" / "fixtures")} | (environment or {}),
            ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"status": "fail", "reason": f"{TOO_LONG} {limit_s:.0f} s", "figures": {}}
    except OSError as error:
        return {"status": "fail", "reason": str(error), "figures": {}}
    if not out.exists():
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        return {"status": "fail", "reason": f"ended with {code} and no figures: {' / '.join(tail)}", "figures": {}}
    document = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    if code not in (0, 1) and document["status"] != "fail":
        document |= {"status": "fail", "reason": f"ended with {code} after its figures"}
    return document
