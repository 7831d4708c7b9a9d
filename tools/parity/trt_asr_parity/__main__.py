"""python -m trt_asr_parity reference|run|report|ci|full-size; see README.md beside the package."""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from trt_asr_export.errors import ExportError

from . import items
from .audio import REPOSITORY
from .errors import ParityError

EXIT_FAILED, EXIT_ERROR = 1, 2
SIZE, SEED = "full", 42


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trt_asr_parity", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_reference(commands)
    _add_run(commands)
    told = commands.add_parser("report", help="Markdown and pictures from the report.json of one or more runs")
    told.add_argument("runs", nargs="+", type=Path)
    told.add_argument("--out", type=Path, required=True)
    check = commands.add_parser("ci", help="the ladder on random models of every architecture, and on broken ones")
    check.add_argument("variants", nargs="*", help="all, unless some are named")
    check.add_argument("--keep", type=Path, metavar="DIR", help="keep each variant's report.json in a folder of its name")
    check.add_argument("--write-references", action="store_true", help="let NeMo make the committed references again")
    full = commands.add_parser("full-size", help="random weights of the whole Parakeet-TDT-0.6b-v3, from archive to report")
    full.add_argument("--out", type=Path, required=True)
    full.add_argument("--precision", default="fp32,fp16,int8", help="those of the documents, unless some are named")
    full.add_argument("--seed", type=int, default=42)
    full.add_argument("--size", choices=("full", "long"), default="full", help="long: closed loops of 300 chunks too")
    kept = commands.add_parser("documents", help="the documents again, from what full-size left in DIR")
    kept.add_argument("--out", type=Path, required=True)
    for one in (full, kept):
        one.add_argument("--docs", type=Path, default=REPOSITORY / "docs")
    return parser


def _add_reference(commands) -> None:
    made = commands.add_parser("reference", help="NeMo's answers, stage by stage")
    made.add_argument("model", type=Path, metavar="MODEL.nemo")
    made.add_argument("--export", type=Path, help="the exported folder, whose contract says what to ask; without it one is made and dropped")
    made.add_argument("--out", type=Path, required=True)
    _add_size(made)


def _add_run(commands) -> None:
    climbed = commands.add_parser("run", help="PyTorch and ONNX Runtime against the reference")
    climbed.add_argument("model", type=Path, metavar="MODEL.nemo|EXPORT_DIR")
    climbed.add_argument("--export", type=Path, help="the exported folder of the archive; without it OUT/model is made")
    climbed.add_argument("--reference", type=Path, help="without it the ladder starts at PyTorch")
    climbed.add_argument("--out", type=Path, required=True)
    climbed.add_argument("--told", action="store_true", help="exit with 0 also when checks failed: the report tells of them")
    _add_size(climbed)


def _add_size(parser: argparse.ArgumentParser) -> None:
    """What to ask; None where nothing was said, because a reference has been asked already."""
    parser.add_argument("--size", choices=sorted(items.SIZES), help=f"how much is asked: {SIZE} unless said")
    parser.add_argument("--audio", type=Path, nargs="+", help="16 kHz mono WAV files in place of the repository's")
    parser.add_argument("--seed", type=int, help=f"of the random inputs: {SEED} unless said")


def _asked(options) -> tuple[int, items.Size]:
    """The seed and the size; raises ParityError when a reference, which has its own, is given too."""
    said = [f"--{name}" for name in ("size", "audio", "seed") if getattr(options, name) is not None]
    if said and getattr(options, "reference", None):
        raise ParityError(", ".join(said), "nothing beside --reference, which says what was asked", "both",
                          "Give these to `trt_asr_parity reference`.")  # fmt: skip
    size = items.with_audio(items.SIZES[options.size or SIZE], options.audio or [])
    return SEED if options.seed is None else options.seed, size


def _export(archive: Path, target: Path) -> Path:
    """An fp32 export with the archive's own defaults."""
    from trt_asr_export.export import export_model
    from trt_asr_export.options import ExportOptions

    export_model(archive, target, ExportOptions(force=True))
    return target


def _reference(options) -> int:
    from . import reference
    from .sides.ort_side import load_export

    seed, size = _asked(options)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.export or _export(options.model, Path(scratch) / "model")
        contract, vocabulary = load_export(folder)
        reference.write(options.model, contract, vocabulary, options.out, seed, size, _say)
    return 0


def _run(options) -> int:
    from . import run

    seed, size = _asked(options)
    archive = options.model if options.model.is_file() else None
    if archive is None:
        folder = options.model
    else:
        folder = options.export or _export(archive, options.out / "model")
    found, facts = run.climb(run.Question(folder, archive, options.reference, seed, size), _say)
    run.write(found, facts, options.out)
    print((options.out / "report.md").read_text(encoding="utf-8"))
    return 0 if found.passed or options.told else EXIT_FAILED


def _report(options) -> int:
    from . import run

    run.rewrite(options.runs, options.out)
    return 0


def _ci(options) -> int:
    from . import ci

    if options.write_references:
        ci.write_references(options.variants)
        return 0
    return 0 if ci.run_all(options.variants, options.keep) else EXIT_FAILED


def _full_size(options) -> int:
    from . import full_size

    passed = full_size.run(options.out, options.precision.split(","), options.seed, options.size, options.docs)
    return 0 if passed else EXIT_FAILED


def _documents(options) -> int:
    from . import documents

    documents.write(options.out, options.docs)
    return 0


def main() -> int:
    warnings.filterwarnings("ignore")
    options = _parser().parse_args()
    commands = {"reference": _reference, "run": _run, "report": _report, "ci": _ci, "full-size": _full_size,
                "documents": _documents}  # fmt: skip
    try:
        return commands[options.command](options)
    except (ParityError, ExportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
