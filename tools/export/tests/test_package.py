"""The package stays free of NeMo and of what makes NeMo hard to install."""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FOREIGN = (
    "nemo",
    "huggingface_hub",
    "omegaconf",
    "hydra",
    "pytorch_lightning",
    "lightning",
    "librosa",
    "transformers",
    "onnxscript",
)


def test_imports():
    modules = [f"trt_asr_export.{path.relative_to(PACKAGE / 'trt_asr_export').with_suffix('').as_posix().replace('/', '.')}"
               for path in sorted((PACKAGE / "trt_asr_export").rglob("*.py")) if path.stem not in ("__main__", "__init__")]  # fmt: skip
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print([name for name in {FOREIGN!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE, check=True)
    assert found.stdout.strip() == "[]"


def test_an_export_imports_nothing_else(archives, tmp_path):
    program = (
        "import sys\nfrom trt_asr_export.cli import main\n"
        f"code = main([{str(archives('ctc'))!r}, {str(tmp_path / 'out')!r}])\n"
        f"print(code, [name for name in {FOREIGN!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE, check=True)
    assert found.stdout.splitlines()[-1] == "0 []"


def test_dependencies():
    text = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)\]", text, re.DOTALL | re.MULTILINE).group(1)
    names = re.findall(r'"([A-Za-z0-9_-]+)', listed)
    assert sorted(names) == ["fastjsonschema", "numpy", "onnx", "onnxruntime", "pyyaml", "sentencepiece", "torch"]


def test_help_needs_no_torch():
    program = "import sys\nfrom trt_asr_export.cli import parser\nparser()\nprint('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE, check=True)
    assert found.stdout.strip() == "False"
