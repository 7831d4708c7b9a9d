"""The tiny random models in the three layouts."""

import json
import tempfile
from pathlib import Path

from trt_asr_export import ExportOptions, export_model
from trt_asr_export.onnx_graph import describe

from . import onnx_files, tiny
from .foreign_layouts import export_nemo_layout, export_sherpa_layout

SHAPES = {
    "tiny-ours": tiny.TinyShape(),
    "tiny-80-none": tiny.TinyShape(mel_bins=80, normalize="NA"),
}


def build(name: str):
    """The NeMo model behind the fixture `name`."""
    with tempfile.TemporaryDirectory() as folder:
        return tiny.build_tiny(Path(folder), SHAPES[name])


def shorten(folder: Path) -> None:
    """Makes the graphs of a folder smaller; see onnx_files."""
    for path in sorted(folder.glob("*.onnx")):
        onnx_files.shorten_names(path)


def refresh_hashes(folder: Path) -> None:
    """Makes contract.json tell of the files as they are."""
    path = folder / "contract.json"
    contract = json.loads(path.read_text(encoding="utf-8"))
    contract["files"] = {
        name: describe(folder / name)
        for name in contract["files"]
    }
    path.write_text(json.dumps(contract, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _export_ours(name: str, folder: Path) -> None:
    """Our layout is always made from a .nemo file, as a user makes it."""
    with tempfile.TemporaryDirectory() as scratch:
        # NeMo packs the tokenizer's files when it saves, so they must still be there.
        model = tiny.build_tiny(Path(scratch), SHAPES[name])
        nemo = Path(scratch) / f"{name}.nemo"
        model.save_to(str(nemo))
        export_model(nemo, folder, ExportOptions(name=name, force=True))
    # Its hash of the archive would change with every run: NeMo writes the time into the tar.
    (folder / "model_meta.json").unlink()


def make(out_dir: Path) -> None:
    """Writes tiny-ours, tiny-80-none, tiny-nemo and tiny-sherpa below `out_dir`."""
    for name in SHAPES:
        _export_ours(name, out_dir / name)
        shorten(out_dir / name)
        refresh_hashes(out_dir / name)
    model = build("tiny-ours")
    export_nemo_layout(model, out_dir / "tiny-nemo")
    shorten(out_dir / "tiny-nemo")
    export_sherpa_layout(model, out_dir / "tiny-sherpa", "tiny-tdt")
    shorten(out_dir / "tiny-sherpa")
