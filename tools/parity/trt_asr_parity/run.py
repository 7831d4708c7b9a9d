"""`run`: one exported folder climbs the ladder, and the findings are written down."""

from dataclasses import dataclass
from pathlib import Path

from . import items, machine, plots, report, store, ties
from .errors import ParityError
from .ladder import Climb, Ladder
from .sides.ort_side import OrtSide
from .sides.torch_side import TorchSide


@dataclass(frozen=True)
class Question:
    """What to climb: the export, the archive it was made from, and NeMo's answers; the last two may be missing."""

    folder: Path
    archive: Path | None
    reference: Path | None
    seed: int
    size: items.Size
    # 0 leaves the number of ONNX Runtime's threads to it; `stages` empty means all.
    threads: int = 0
    stages: tuple[str, ...] = ()


def _reference(question: Question, contract: dict) -> store.Reference | None:
    """NeMo's answers, if they are about these very weights and an export of these parts and sizes."""
    if question.reference is None:
        return None
    # The head first: a reference of something else need not be read whole to be refused.
    head = store.head(question.reference)
    ties.check_weights(head, question.folder, question.archive)
    ties.check_contract(head, contract)
    return store.load(question.reference)


def climb(question: Question, say=lambda text: None) -> tuple[Climb, dict]:
    """Returns the climb and what the report says of its circumstances."""
    ort = OrtSide(question.folder, question.threads)
    reference = _reference(question, ort.contract)
    torch_side = TorchSide(question.archive, ort.contract, ort.vocabulary) if question.archive else None
    if reference is None and torch_side is None:
        raise ParityError("run", "a .nemo archive or a reference", "neither", "A graph alone has nothing to be compared with.")
    if reference:
        asked, unsteady = reference.items, reference.head["unsteady_clips"]
    else:
        asked, unsteady = items.make(ort.contract, question.seed, question.size, torch_side)
    asked = [item for item in asked if not question.stages or item.stage in question.stages]
    found = Ladder(ort.contract, torch_side, ort, reference and reference.outputs).climb(asked, say)
    facts = {
        "model": ort.contract["model"]["name"],
        "rule": ort.contract["decode"]["rule"],
        "seed": reference.head["seed"] if reference else question.seed,
        "made_with": machine.versions(with_nemo=False),
        "reference_made_with": reference.head["made_with"] if reference else None,
        "unsteady_clips": unsteady,
        "files": ort.contract.get("files", {}),
    }
    return found, facts


def write(found: Climb, facts: dict, folder: Path) -> None:
    """report.json, report.md and the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    report.write_json(folder / "report.json", report.document(found, facts))
    rewrite([folder], folder)


def rewrite(sources: list[Path], folder: Path) -> None:
    """report.md and the pictures from the report.json of one or more runs."""
    folder.mkdir(parents=True, exist_ok=True)
    climbs, pictures, told = [], [], []
    for source in sources:
        found, value = report.read(source / "report.json")
        climbs.append(found)
        pictures += plots.make(found, folder)
        told = [
            f"Model {value['model']} ({value['rule']}), seed {value['seed']}.",
            f"Made with {_versions(value['made_with'])}; NeMo's side with {_versions(value['reference_made_with'])}."
            if value["reference_made_with"] else f"Made with {_versions(value['made_with'])}.",
            *report.unsteady(value),
        ]  # fmt: skip
    text = report.markdown(climbs, "Parity report", told, pictures)
    (folder / "report.md").write_text(text, encoding="utf-8")


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())

