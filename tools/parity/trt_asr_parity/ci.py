"""`ci`: the ladder on every variant against the committed references, and proof that it notices what is wrong."""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

import torch
from trt_asr_export.errors import ExportError

from . import damage, reference, run, store, weights
from .errors import ParityError
from .ladder import Climb
from .sides.ort_side import load_export
from .variants import SEED, Variant, named

REFERENCES = Path(__file__).resolve().parents[1] / "references"
FAILURES_SHOWN = 5
# int8 has no fp32 tolerance; a random model's logits lie close together, so its tokens are told and not gated.
TOLD_PRECISION = "int8"


class Tally:
    """Named checks, printed as they end; the closing line counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name: str, body: Callable[[], str]) -> bool:
        """`body` returns why it failed, or nothing; an error is a failure too, whatever raises it, so that the closing line is reached."""
        begin = time.monotonic()
        try:
            reason = body()
        except (ParityError, ExportError) as error:
            reason = str(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        self.passed, self.failed = self.passed + (not reason), self.failed + bool(reason)
        print(f"{'FAIL' if reason else 'ok  '} {name} ({time.monotonic() - begin:.1f} s){': ' + reason if reason else ''}", flush=True)
        return not reason

    def close(self) -> bool:
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed == 0 and self.passed > 0


def _reasons(found: Climb) -> str:
    """Why a climb failed; nothing when it passed."""
    if found.passed:
        return ""
    lines = [f"{c.rung} {c.stage}/{c.item} {c.output}: {c.reason}" for c in found.failures]
    return f"{len(lines)} of {len(found.checks)} checks: " + "; ".join(lines[:FAILURES_SHOWN])


class Bench:
    """One variant in a folder of its own: archive and export, each made when first needed, and the committed reference."""

    def __init__(self, variant: Variant, folder: Path, keep: Path | None = None):
        self.keep = keep / variant.name if keep else None
        self.variant, self.archive, self.export = variant, folder / f"{variant.name}.nemo", folder / variant.name
        self.folder, self.reference = folder, REFERENCES / variant.name

    def question(self, export: Path | None = None, archive: Path | None = None, stages: tuple[str, ...] = ()) -> run.Question:
        """One thread: graphs as small as these are slower with two."""
        return run.Question(export or self.export, archive or self.archive, self.reference, SEED, self.variant.size, 1, stages)

    def write_archive(self) -> None:
        if not self.archive.exists():
            self.variant.write_archive(self.archive)

    def same_weights(self) -> str:
        """The committed reference is about the weights of the archive that is rebuilt here."""
        self.write_archive()
        wanted, found = store.head(self.reference)["weights_sha256"], weights.digest(self.archive)
        return "" if wanted == found else f"the archive rebuilt from its seed has weights {found[:16]}, the reference {wanted[:16]}"

    def exports(self) -> str:
        self.write_archive()
        self.variant.export(self.archive, self.export)
        return ""

    def climbs(self) -> str:
        found, facts = run.climb(self.question())
        if self.keep:
            run.write(found, facts, self.keep)
        return _reasons(found)

    def same_bytes_again(self) -> str:
        """Two exports of one archive give the same files."""
        again = self.folder / "again"
        self.variant.export(self.archive, again)
        other = [p.name for p in sorted(self.export.iterdir()) if p.read_bytes() != (again / p.name).read_bytes()]
        return f"another export has other bytes in {', '.join(other)}" if other else ""

    def told(self) -> str:
        """A reduced precision climbs too: it is measured, and only NaN or a wrong shape fails it."""
        folder = self.folder / TOLD_PRECISION
        self.variant.export(self.archive, folder, TOLD_PRECISION)
        found, _ = run.climb(self.question(folder))
        unequal = [check for check in found.checks if check.rung == "torch/ort" and not check.passed]
        return _reasons(found) or ("" if unequal else "int8 graphs gave what fp32 gives: they are not int8")

    def notices(self, harm: damage.Damage) -> str:
        """A broken copy fails at the stage that holds what is broken."""
        broken = self.folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(self.export, broken)
        harm.apply(broken)
        found, _ = run.climb(self.question(broken, stages=(harm.stage,)))
        if not found.checks:
            return f"nothing was compared at {harm.stage}"
        return "" if any(check.stage == harm.stage for check in found.failures) else "the ladder passed it"

    def refuses_other_weights(self) -> str:
        """A reference of other weights is refused before anything is compared."""
        other = self.folder / "other.nemo"
        Variant(self.variant.name, self.variant.kind, seed=SEED + 1).write_archive(other)
        try:
            run.climb(self.question(archive=other))
        except ParityError as error:
            return "" if error.field == "reference.weights_sha256" else f"refused for {error.field}"
        return "it was compared all the same"


def _run_variant(variant: Variant, tally: Tally, keep: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(variant, Path(folder), keep)
        if not tally.check(f"{variant.name}: weights are those of the reference", bench.same_weights):
            return
        if not tally.check(f"{variant.name}: is exported", bench.exports):
            return
        if not tally.check(f"{variant.name}: NeMo -> PyTorch -> ONNX Runtime", bench.climbs):
            return
        if variant.name == "tdt":
            tally.check("tdt: the same bytes again", bench.same_bytes_again)
            tally.check("tdt: int8 is measured", bench.told)
            tally.check("tdt: a reference of other weights is refused", bench.refuses_other_weights)
        for harm in damage.BY_VARIANT.get(variant.name, ()):
            tally.check(f"{variant.name}: notices {harm.name}", lambda harm=harm: bench.notices(harm))


def run_all(names: list[str], keep: Path | None = None) -> bool:
    """Every variant, or those named; `keep` is a folder for their reports."""
    tally = Tally()
    torch.set_num_threads(1)
    for variant in named(names):
        _run_variant(variant, tally, keep)
    return tally.close()


def write_references(names: list[str]) -> None:
    """Asks NeMo and replaces the committed references: the same bytes again, as long as one thread adds in one order."""
    torch.set_num_threads(1)
    for variant in named(names):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(variant, Path(folder))
            bench.exports()
            contract, vocabulary = load_export(bench.export)
            reference.write(bench.archive, contract, vocabulary, bench.reference, SEED, variant.size)
        print(f"{variant.name}: written", file=sys.stderr)
