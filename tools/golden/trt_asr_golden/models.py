"""The tiny random models in the three layouts."""

import json
import tempfile
from pathlib import Path

from trt_asr_export import export_nemo_layout, export_ours, export_sherpa_layout, onnx_files, tiny

SHAPES = {
    "tiny-ours": tiny.TinyShape(),
    "tiny-80-none": tiny.TinyShape(mel_bins=80, normalize="NA"),
}


def build(name: str):
    """The NeMo model behind the fixture `name`."""
    with tempfile.TemporaryDirectory() as folder:
        return tiny.build_tiny(Path(folder), SHAPES[name])


def _shorten(folder: Path) -> None:
    for path in sorted(folder.glob("*.onnx")):
        onnx_files.shorten_names(path)


def _refresh_hashes(folder: Path) -> None:
    path = folder / "contract.json"
    contract = json.loads(path.read_text(encoding="utf-8"))
    contract["files"] = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": onnx_files.sha256_hex(folder / name)}
        for name in contract["files"]
    }
    path.write_text(json.dumps(contract, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def make(out_dir: Path) -> None:
    """Writes tiny-ours, tiny-80-none, tiny-nemo and tiny-sherpa below `out_dir`."""
    for name in SHAPES:
        export_ours(build(name), out_dir / name, name)
        _shorten(out_dir / name)
        _refresh_hashes(out_dir / name)
    model = build("tiny-ours")
    export_nemo_layout(model, out_dir / "tiny-nemo")
    _shorten(out_dir / "tiny-nemo")
    export_sherpa_layout(model, out_dir / "tiny-sherpa", "tiny-tdt")
    _shorten(out_dir / "tiny-sherpa")
