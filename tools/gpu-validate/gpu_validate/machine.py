"""What the machine is: GPU, driver, tools, packages. Nothing here fails where something is missing."""

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import site
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGES = ("torch", "onnx", "onnxruntime", "numpy", "tensorrt", "tensorrt-rtx-cu13-libs")
TENSORRT_FILES = ("libnvinfer.so.11", "libnvinfer.so.10", "libtensorrt_rtx.so.1")
# Where wheels and archives of TensorRT have their libraries, below a folder that they were unpacked into.
TENSORRT_FOLDERS = (".", "lib", "tensorrt_libs", "tensorrt_rtx_libs", "targets/x86_64-linux-gnu/lib", "rtx/lib", "11/lib", "10/lib")


def gpu_count() -> tuple[int, str]:
    """How many GPUs the driver has, and why there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, "no NVIDIA driver: libcuda.so.1 is not there"
    code = driver.cuInit(0)
    if code != 0:
        return 0, f"the NVIDIA driver does not start: cuInit gives {code}"
    count = ctypes.c_int(0)
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    return (count.value, "") if code == 0 and count.value > 0 else (0, "the NVIDIA driver has no GPU")


def _said(command: list[str]) -> str | None:
    """The first line that a command prints; None where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if lines else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def nvcc() -> str | None:
    found = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    return found if os.path.exists(found) else None


def compute_sanitizer() -> str | None:
    compiler = nvcc()
    beside = Path(compiler).resolve().parent / "compute-sanitizer" if compiler else Path("compute-sanitizer")
    return shutil.which("compute-sanitizer") or (str(beside) if beside.exists() else None)


def compute_capability() -> str | None:
    """'90' of the first GPU."""
    said = _said(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"])
    return said.replace(".", "") if said else None


def describe() -> dict:
    compiler = nvcc()
    release = _said(["sh", "-c", f"{compiler} --version | grep release"]) if compiler else None
    fields = "name,driver_version,memory.total,compute_cap,clocks.max.sm,clocks.max.memory,power.limit"
    commit = os.environ.get("TRT_ASR_COMMIT") or _said(["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"])
    return {
        "gpu": _said(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]),
        "system": platform.platform(),
        "processor": _said(["sh", "-c", "grep -m1 'model name' /proc/cpuinfo | cut -d: -f2"]),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "compiler": _said(["c++", "--version"]),
        "cmake": _said(["cmake", "--version"]),
        "nvcc": release,
        "packages": {package: _version(package) for package in PACKAGES},
        "commit": commit,
    }


def _holds_tensorrt(folder: Path) -> bool:
    return any((folder / name).exists() for name in TENSORRT_FILES)


def tensorrt_folders(given: Path | None) -> list[str]:
    """Folders with a TensorRT to be tried; the empty one stands for the system's. A given folder is the only one."""
    roots = [given] if given else [Path(one) for one in {*site.getsitepackages(), site.getusersitepackages(), *sys.path} if one]
    found = []
    for root in roots:
        for name in TENSORRT_FOLDERS:
            folder = (root / name).resolve()
            if _holds_tensorrt(folder) and str(folder) not in found:
                found.append(str(folder))
    return sorted(found) if given else ["", *sorted(found)]


def ort_library() -> Path | None:
    """ONNX Runtime's library in the Python package."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob("capi/libonnxruntime.so*"))
    return found[0] if found else None


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None
