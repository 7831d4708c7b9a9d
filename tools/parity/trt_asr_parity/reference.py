"""`reference`: NeMo answers every item, and the answers are written down."""

from pathlib import Path

from . import items, machine, stages, ties, weights
from .sides.nemo_side import NemoSide
from .store import Writer
from .words import Vocabulary


def write(archive: Path, contract: dict, vocabulary: Vocabulary, folder: Path, seed: int, size: items.Size,
          say=lambda text: None) -> Writer:  # fmt: skip
    """Asks NeMo every item and writes reference.jsonl and values.npz into `folder`."""
    side = NemoSide(archive, contract, vocabulary)
    asked, unsteady = items.make(contract, seed, size, side)
    out = Writer(folder, {
        "model": contract["model"]["name"], "weights_sha256": weights.digest(archive), "seed": seed,
        "asked": ties.asked_of(contract), "unsteady_clips": unsteady, "made_with": machine.versions(),
    })  # fmt: skip
    for item in asked:
        out.add(item, stages.run(side, item, contract))
        say(f"{item.stage}/{item.name}")
    out.close()
    return out
