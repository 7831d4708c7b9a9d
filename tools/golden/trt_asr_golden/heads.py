"""The sets rnnt, ctc and ctc-causal: NeMo's transcripts by the models of variants/, over clips of the lengths of the set tiny."""

from pathlib import Path

import numpy as np

from . import oracle, transcripts, variants
from .audio import Clip, Pools
from .oracle_ctc import Ctc
from .ort_model import OrtModel
from .writer import SetWriter

SETS = {"rnnt": "rnnt-ours", "ctc": "ctc-ours", "ctc-causal": "ctc-causal"}
SEED = 42
HOP_SAMPLES = 160


def _clips_of_tiny(golden: Path) -> list[Clip]:
    """The clips of the set tiny."""
    lines = (golden / "tiny" / "manifest.txt").read_text(encoding="utf-8").splitlines()
    records = [line.split(" ") for line in lines if line.startswith("clip ")]
    return [Clip(name, Path(wav).stem, int(offset), int(samples)) for _, name, wav, offset, samples in records]


def _run(nemo, ort: OrtModel, pools: Pools, clip: Clip, generator) -> transcripts.Run:
    """The clip itself where its decisions are steady, else another slice of its length."""
    if clip.samples == 0:
        return transcripts.empty(clip)
    found = transcripts.run(nemo, clip, pools.read(clip))
    transcripts.check_export(ort, found)
    steady = transcripts.is_steady(ort, found)
    # Less than a hop has no features to be moved, and mostly no tokens.
    if clip.samples < HOP_SAMPLES or (steady and found.transcript.tokens):
        return found
    return transcripts.steady_slice(nemo, ort, pools, clip.wav, clip.samples, generator)


def _make_set(name: str, pools: Pools, golden: Path, folder: Path) -> None:
    model = variants.nemo_model(folder.name)
    ort = OrtModel(folder)
    nemo = Ctc(model) if ort.rule == "ctc" else oracle.Transducer(model)
    generator = np.random.default_rng(SEED)
    runs = [_run(nemo, ort, pools, clip, generator) for clip in _clips_of_tiny(golden)]
    heard = [run for run in runs if run.clip.samples >= HOP_SAMPLES]
    transcripts.check_batch(nemo, ort, heard[1:10:2])
    for run in runs:
        run.clip = Clip(run.clip.name, f"../audio/{run.clip.wav}.wav", run.clip.offset, run.clip.samples)
    out = SetWriter(golden / name, name, f"NeMo's greedy decoding on a random model, rule {ort.rule}", seed=SEED)
    transcripts.write_model(out, ort, runs, f"../../models/variants/{folder.name}")
    for run in runs:
        transcripts.write_item(out, run)
    out.close()


def make(pools: Pools, golden: Path, models_dir: Path) -> None:
    """Writes the sets; those of the models must be the folders as they are now, or check_export raises."""
    for name, folder in SETS.items():
        _make_set(name, pools, golden, models_dir / "variants" / folder)
