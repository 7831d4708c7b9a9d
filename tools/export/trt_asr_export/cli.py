"""trt-asr-export MODEL.nemo OUT: the command line."""

import argparse
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from .errors import ExportError
from .options import PRECISIONS, ExportOptions


def _pair(text: str) -> tuple[int, int]:
    left, right = (int(part) for part in text.split(","))
    return left, right


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="trt-asr-export", description="Turns a NeMo FastConformer checkpoint into a model folder of trt-asr."
    )
    made.add_argument("model", type=Path, help="the .nemo file")
    made.add_argument("out", type=Path, help="the folder to write; it must not be there yet")
    made.add_argument("--precision", choices=PRECISIONS, default="fp32")
    made.add_argument("--branch", choices=("transducer", "ctc"), help="of a hybrid model; by default transducer")
    made.add_argument(
        "--streaming",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="by default for cache-aware models alone",
    )
    made.add_argument(
        "--streaming-only", action="store_true", help="leave out the graph for whole utterances, write the streaming one alone"
    )
    made.add_argument(
        "--attention-context",
        type=_pair,
        metavar="LEFT,RIGHT",
        help="of a model with several; by default its first. One that begins with a minus needs the form --attention-context=-1,-1",
    )
    made.add_argument(
        "--chunk-frames", metavar="N|FIRST,NEXT", help="mel frames of a chunk; by default the model's own"
    )
    made.add_argument(
        "--cache-size", type=int, metavar="N", help="encoded frames of left context; by default the model's own"
    )
    made.add_argument(
        "--cache-drop-size", type=int, metavar="N", help="encoded frames of a chunk that the next one computes again"
    )
    made.add_argument(
        "--fold-joint", action="store_true", help="the encoder's output is projected by the joint already"
    )
    made.add_argument("--name", help="the model's name; by default the file's")
    made.add_argument("--language", action="append", help="BCP 47; repeat for several; by default en")
    made.add_argument("--license", default="Apache-2.0", help="SPDX name of the weights' licence")
    made.add_argument("--force", action="store_true", help="replace a folder that is there")
    return made


def _refuse(error: ExportError) -> int:
    print(f"trt-asr-export: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


@contextmanager
def _leaving_on_signals():
    """A request to end becomes SystemExit with the status 128 + its number, so that nothing half-written stays behind."""
    before = {}

    def leave(number, _frame):
        # A second one must not cut off the clearing away.
        for known in before:
            signal.signal(known, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        # Python gives signals to its main thread alone.
        names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
        for name in names:
            number = getattr(signal, name, None)
            # What is ignored stays ignored: nohup does that to SIGHUP.
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, leave)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 2 with one line on stderr. SIGTERM and SIGHUP raise SystemExit."""
    with _leaving_on_signals():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    given = vars(parser().parse_args(arguments))
    model, out, languages = given.pop("model"), given.pop("out"), given.pop("language")
    options = ExportOptions(**given, languages=tuple(languages or ("en",)))
    try:
        # Torch takes seconds to import; --help and wrong arguments should not wait for it.
        from .export import export_model

        contract = export_model(model, out, options)
    except OSError as error:
        refused = ExportError(
            str(error.filename or out),
            "a file or folder that can be used",
            error.strerror or str(error),
            "Check rights and space",
        )
        return _refuse(refused)
    except ExportError as error:
        return _refuse(error)
    size = sum(file["bytes"] for file in contract["files"].values())
    print(f"{out}: {', '.join(contract['files'])}; {size:,} bytes, {options.precision}, {contract['decode']['rule']}")
    return 0
