"""`full-size`: seeded random weights in the architecture of Parakeet-TDT-0.6b-v3, from the archive to the two reports.

Every step is a process of its own, so that its peak memory is its own. What is done is noted in steps.json: a run that was cut
off goes on where it stopped. A step whose command is another than the noted one is done again, and so is all that was done after it.
The facts of all steps end in full-size.json.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from . import documents, graph_facts, machine, report, store, weights
from .audio import REPOSITORY
from .errors import ParityError
from .machine import Step, run_step

MODEL = "parakeet-tdt-0.6b-v3-random"
# SOURCE: the streaming encoder to be exported: cache 256, nothing dropped from it, chunks of 592 frames.
STREAMING = ["--chunk-frames", "592", "--cache-size", "256", "--cache-drop-size", "0"]
ARCHIVE_CODE = "import sys; from trt_asr_export.random_model import write_random_archive as w; w(sys.argv[1], 'tdt', int(sys.argv[2]), 'full')"


class FullSize:
    """The steps, each with its figures."""

    def __init__(self, folder: Path, seed: int, size: str):
        self.folder, self.seed, self.size = folder, seed, size
        self.archive, self.reference = folder / f"{MODEL}.nemo", folder / "reference"
        self.noted = folder / "steps.json"
        self.steps: dict[str, Step] = {}
        if self.noted.is_file():
            self.steps = {name: Step(**told) for name, told in json.loads(self.noted.read_text(encoding="utf-8")).items()}
        paths = [str(REPOSITORY / "tools" / name) for name in ("export", "parity")]
        self.environment = {"PYTHONPATH": ":".join(paths)}

    def _step(self, name: str, arguments: list[str]) -> None:
        shown = [argument.replace(f"{self.folder}/", "") for argument in arguments]
        command = "python " + " ".join("..." if argument == ARCHIVE_CODE else argument for argument in shown)
        if name in self.steps and self.steps[name].command == command:
            return
        self._forget_from(name)
        self.steps[name] = run_step(name, arguments, command, self.environment)
        self._note()

    def _forget_from(self, name: str) -> None:
        """A step and all that were done after it, whose inputs may have been its outputs; nothing for a step that was not done."""
        if name in self.steps:
            names = list(self.steps)
            self.steps = {one: self.steps[one] for one in names[: names.index(name)]}
            self._note()

    def _note(self) -> None:
        self.noted.write_text(json.dumps({one: asdict(step) for one, step in self.steps.items()}, indent=2) + "\n", encoding="utf-8")

    def write_archive(self) -> None:
        self._step("archive", ["-c", ARCHIVE_CODE, str(self.archive), str(self.seed)])

    def export(self, precision: str, target: Path, name: str) -> None:
        self._step(name, ["-m", "trt_asr_export", str(self.archive), str(target), "--precision", precision, "--name", MODEL, "--force", *STREAMING])

    def export_twice(self, precision: str) -> dict:
        """The facts of an export, and whether a second one has the same bytes in every file."""
        target, kept, again = self.folder / precision, self.folder / f"{precision}.json", self.folder / "again"
        first, second = f"export {precision}", f"export {precision} again"
        if not target.exists():
            self._forget_from(first)
        self.export(precision, target, first)
        # The facts are those of the noted export, or they are made again, and with them the second export.
        known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        step = asdict(self.steps[first])
        if known.get("step") != step:
            self._forget_from(second)
            facts = graph_facts.folder(target)
            self.export(precision, again, second)
            known = {**facts, "same_bytes_again": graph_facts.folder(again)["files"] == facts["files"], "step": step}
            shutil.rmtree(again)
            kept.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        return known

    def ask_nemo(self, export: Path) -> None:
        try:
            store.head(self.reference)
        except ParityError:
            # It is gone, or of a form that is read no longer.
            self._forget_from("NeMo's reference")
        self._step("NeMo's reference", ["-m", "trt_asr_parity", "reference", str(self.archive), "--export", str(export),
                                        "--out", str(self.reference), "--size", self.size, "--seed", str(self.seed)])  # fmt: skip

    def climb(self, precision: str) -> None:
        """fp32 climbs every rung. Of another precision only the graphs are new, so that they are held against NeMo alone."""
        export = str(self.folder / precision)
        model = [str(self.archive), "--export", export] if precision == "fp32" else [export]
        self._step(f"ladder {precision}", ["-m", "trt_asr_parity", "run", *model, "--reference", str(self.reference),
                                           "--out", str(self.folder / f"run-{precision}"), "--told"])  # fmt: skip

    def climb_variants(self) -> None:
        """The tiny models too, so that one report tells of every architecture."""
        kept = self.folder / "variants"
        self._step("variants", ["-m", "trt_asr_parity", "ci", "--keep", str(kept)])


def run(folder: Path, precisions: list[str], seed: int, size: str, docs: Path) -> bool:
    """Returns whether fp32 passed. The archive, the exports and the reference stay in `folder`."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    work = FullSize(folder, seed, size)
    work.write_archive()
    facts: dict = {"exports": {precision: work.export_twice(precision) for precision in precisions}}
    work.ask_nemo(folder / precisions[0])
    for precision in precisions:
        work.climb(precision)
    work.climb_variants()
    facts |= {
        "model": MODEL, "seed": seed, "size": size, "precisions": precisions, "versions": machine.versions(), "processor": machine.processor(),
        "archive": {"bytes": work.archive.stat().st_size, "weights_sha256": weights.digest(work.archive)},
        "steps": [asdict(step) for step in work.steps.values()],
    }  # fmt: skip
    (folder / "full-size.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    documents.write(folder, docs)
    return all(report.read(folder / f"run-{precision}" / "report.json")[0].passed for precision in precisions)
