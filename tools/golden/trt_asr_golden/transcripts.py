"""Goldens from samples to words by NeMo's encoder, predictor, joint and greedy_batch; the exports must agree."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from . import audio, models, oracle
from .audio import Clip, Pools
from .ort_model import OrtModel
from .writer import SetWriter, percent

# WHY: our own features may differ from NeMo's by this much (the features tolerance), and tokens must not depend on it.
FEATURE_NOISE = 1e-3
NOISE_DRAWS = 4
LOGIT_MARGIN_MIN = 3e-3
CONFIDENCE_TOLERANCE_MIN = 1e-3
ENCODED_ROWS_MAX = 8
PREDICTOR_STEPS = 12


@dataclass
class Run:
    """One clip through NeMo, alone."""

    clip: Clip
    samples: np.ndarray
    features_BMT: torch.Tensor
    feature_frames: int
    encoded_TD: np.ndarray
    transcript: oracle.Transcript
    confidence_shift: float = 0.0
    margin_min: float = float("inf")
    counts: dict = field(default_factory=dict)


def _close(ours: np.ndarray, golden: np.ndarray) -> bool:
    return bool((np.abs(ours - golden) <= 1e-4 + 1e-4 * np.abs(golden)).all())


def _decisions(found) -> tuple:
    return found.tokens, found.frames, found.durations


def run(nemo, clip: Clip, samples: np.ndarray) -> Run:
    """NeMo (an oracle.Transducer or oracle_ctc.Ctc) on one clip of at least one sample."""
    features, lengths = oracle.features_of(nemo.model, [samples])
    encoded, encoded_lengths = nemo.encode(features, lengths)
    transcript = nemo.decode(encoded, encoded_lengths)[0]
    frames = int(encoded_lengths[0])
    return Run(clip, samples, features, int(lengths[0]), encoded[0, :, :frames].T.numpy(), transcript)


def check_export(ort: OrtModel, golden: Run) -> None:
    """Raises when the exported graphs do not give what NeMo gave."""
    lengths = np.array([golden.feature_frames])
    encoded, encoded_lengths = ort.encode(golden.features_BMT.numpy(), lengths)
    assert int(encoded_lengths[0]) == len(golden.encoded_TD), golden.clip
    encoded_TD = encoded[0, : len(golden.encoded_TD)]
    assert _close(encoded_TD, golden.encoded_TD), golden.clip
    found = ort.decode(encoded_TD)
    assert _decisions(found) == _decisions(golden.transcript), golden.clip
    assert np.allclose(found.confidence, golden.transcript.confidence, atol=1e-3), golden.clip
    golden.margin_min = found.margin_min
    golden.counts = {"blanks": found.blanks, "guard_hits": found.guard_hits}


def is_steady(ort: OrtModel, golden: Run) -> bool:
    """Whether the decisions stay when the features move by FEATURE_NOISE; notes how far confidence moved.

    A decision by less than LOGIT_MARGIN_MIN is never steady. check_export must have been called.
    """
    if golden.margin_min < LOGIT_MARGIN_MIN:
        return False
    generator = np.random.default_rng(1)
    features, lengths = golden.features_BMT.numpy(), np.array([golden.feature_frames])
    for _ in range(NOISE_DRAWS):
        noise = generator.uniform(-FEATURE_NOISE, FEATURE_NOISE, features.shape).astype(np.float32)
        encoded, encoded_lengths = ort.encode(features + noise, lengths)
        moved = ort.decode(encoded[0, : int(encoded_lengths[0])])
        if _decisions(moved) != _decisions(golden.transcript):
            return False
        shifts = np.abs(np.subtract(moved.confidence, golden.transcript.confidence))
        golden.confidence_shift = max(golden.confidence_shift, float(shifts.max(initial=0.0)))
    return True


def check_batch(nemo, ort: OrtModel, runs: list[Run]) -> None:
    """Raises when NeMo or the export gives a batch other tokens or frames than its clips alone."""
    features, lengths = oracle.features_of(nemo.model, [r.samples for r in runs])
    encoded, encoded_lengths = nemo.encode(features, lengths)
    transcripts = nemo.decode(encoded, encoded_lengths)
    ort_encoded, _ = ort.encode(features.numpy(), lengths.numpy())
    for row, golden in enumerate(runs):
        frames = len(golden.encoded_TD)
        assert _close(encoded[row, :, :frames].T.numpy(), golden.encoded_TD), golden.clip
        assert _close(ort_encoded[row, :frames], golden.encoded_TD), golden.clip
        # Durations are left out: NeMo's batched loop overwrites them (see README.md).
        assert transcripts[row].tokens == golden.transcript.tokens, golden.clip
        assert transcripts[row].frames == golden.transcript.frames, golden.clip


def write_item(out: SetWriter, golden: Run) -> None:
    name, transcript = golden.clip.name, golden.transcript
    counts = {"tokens": len(transcript.tokens), "words": len(transcript.words), **golden.counts}
    fields = (golden.feature_frames, len(golden.encoded_TD), len(transcript.tokens), len(transcript.words))
    facts = {"margin_min": round(golden.margin_min, 4)} if transcript.tokens else {}
    out.record("item", name, *fields, feature_frames=fields[0], encoder_frames=fields[1], **counts, **facts)
    for kind in ("tokens", "frames", "durations"):
        out.ints(name, kind, getattr(transcript, kind))
    out.floats(name, "confidence", transcript.confidence)
    out.text(name, "text", transcript.text)
    write_words(out, name, transcript.words)


def write_tensors(out: SetWriter, golden: Run, with_features: bool) -> None:
    name = golden.clip.name
    if with_features:
        out.tensor(name, "features", golden.features_BMT[0, :, : golden.feature_frames].T.numpy())
    rows = np.unique(np.linspace(0, len(golden.encoded_TD) - 1, ENCODED_ROWS_MAX).round().astype(int))
    if len(golden.encoded_TD):
        out.ints(name, "encoded_rows", rows)
        out.tensor(name, "encoded", golden.encoded_TD[rows])


def write_words(out: SetWriter, name: str, words: list[dict]) -> None:
    for index, word in enumerate(words):
        fields = (index, word["start_offset"], word["end_offset"], word["start"], word["end"], percent(word["word"]))
        named = {key: word[key] for key in ("word", "start_offset", "end_offset", "start", "end")}
        out.record("word", name, *fields, **named)


def write_steps(out: SetWriter, model, ort: OrtModel, golden: Run) -> None:
    """Predictor and joint over the first different tokens of one clip."""
    tokens = list(dict.fromkeys(golden.transcript.tokens))[:PREDICTOR_STEPS]
    predicted, state_h, state_c = oracle.predict(model, tokens)
    out.ints("predictor", "tokens", [model.decoder.blank_idx, *tokens])
    out.tensor("predictor", "predicted", predicted)
    out.tensor("predictor", "state_h", state_h)
    out.tensor("predictor", "state_c", state_c)
    state = ort.start()
    for step, token in enumerate([model.decoder.blank_idx, *tokens]):
        ours, state = ort.predict(token, state)
        assert _close(ours[0, 0], predicted[step])
        assert _close(state[0][:, 0], state_h[step])
        assert _close(state[1][:, 0], state_c[step])
    encoded = golden.encoded_TD[np.linspace(0, len(golden.encoded_TD) - 1, len(predicted)).round().astype(int)]
    logits = np.stack([oracle.joint_logits(model, e, p) for e, p in zip(encoded, predicted)])
    for e, p, expected in zip(encoded, predicted, logits):
        assert _close(ort.logits(e, p[None, None]), expected)
    out.tensor("joint", "joint_encoded", encoded)
    out.tensor("joint", "joint_predicted", predicted)
    out.tensor("joint", "logits", logits)


def write_model(out: SetWriter, ort: OrtModel, runs: list[Run], folder_of_model: str) -> None:
    """What the model's files are, and what write_clips tells."""
    out.record("model", folder_of_model)
    for file, facts in sorted(ort.contract["files"].items()):
        out.record("model_file", file, facts["sha256"])
    write_clips(out, runs)


def write_clips(out: SetWriter, runs: list[Run]) -> None:
    """Where the clips lie, and how far confidence may be off."""
    for golden in runs:
        clip = golden.clip
        if clip.wav:  # a joined clip has none of its own
            out.record("clip", clip.name, clip.wav, clip.offset, clip.samples)
    shift = max(golden.confidence_shift for golden in runs)
    out.floats("set", "confidence_tolerance", [max(CONFIDENCE_TOLERANCE_MIN, 2 * shift)])


def write_set(out: SetWriter, nemo, ort: OrtModel, runs: list[Run], folder_of_model: str, batches: dict) -> None:
    """All records of one model; `batches` maps a batch's name to its clips' names."""
    write_model(out, ort, runs, folder_of_model)
    # WHY: the encoder can be judged by itself on exact features, and a few short clips are enough for it.
    exact = [golden.clip.name for golden in runs if 8 <= golden.feature_frames <= 70][:6]
    for golden in runs:
        write_item(out, golden)
        write_tensors(out, golden, golden.clip.name in exact)
    by_name = {golden.clip.name: golden for golden in runs}
    for name, members in batches.items():
        check_batch(nemo, ort, [by_name[member] for member in members])
        out.record("batch", name, len(members), *members)
    write_steps(out, nemo.model, ort, max(runs, key=lambda golden: len(set(golden.transcript.tokens))))


TINY_SAMPLES = (
    3200, 3333, 4000, 4801, 5600, 6400, 7777, 9600, 11200, 12345, 14400, 16000, 17601, 20000, 24000, 28801,
    32000, 40000, 48000, 56001, 64000, 80000, 96000, 128001, 192000,
)  # fmt: skip
TRIES_MAX = 40


def empty(clip: Clip) -> Run:
    """What our contract says of a clip without samples, on which NeMo raises."""
    nothing = oracle.Transcript([], [], [], [], "", [])
    return Run(clip, np.zeros(0, np.float32), torch.zeros(1, 1, 0), 0, np.zeros((0, 1), np.float32), nothing)


def steady_slice(nemo, ort: OrtModel, pools: Pools, wav: str, samples: int, generator) -> Run:
    """A slice of a pool that has tokens, and the same ones when the features move a little."""
    room = len(pools.pool(wav)) - samples
    for _ in range(TRIES_MAX):
        clip = Clip(f"{wav}.{samples}", wav, int(generator.integers(0, room + 1)), samples)
        golden = run(nemo, clip, pools.read(clip))
        check_export(ort, golden)
        if golden.transcript.tokens and is_steady(ort, golden):
            return golden
    raise RuntimeError(f"expected a steady slice of {samples} samples of {wav} within {TRIES_MAX} tries but found none")


def _tiny_set(name: str, lengths, pools: Pools, golden: Path, folder: Path, batches: bool) -> None:
    nemo, ort = oracle.Transducer(models.build(folder.name)), OrtModel(folder)
    generator = np.random.default_rng(42)
    runs = [empty(Clip("empty", "speech", 0, 0))]
    for samples in (1, 159):
        clip = Clip(f"speech.{samples}", "speech", 9000, samples)
        runs.append(run(nemo, clip, pools.read(clip)))
    for index, samples in enumerate(lengths):
        wav = "noise" if index % 2 and samples <= 48000 else "speech"
        runs.append(steady_slice(nemo, ort, pools, wav, samples, generator))
    heard = [r.clip.name for r in runs[3:]]
    members = {}
    if batches:
        members = {
            "two": heard[:2],
            "five": heard[1:10:2],
            "eight": heard[2::3][:8],
            "silent-row": ["speech.159", heard[8]],
        }
    for r in runs:
        r.clip = Clip(r.clip.name, f"../audio/{r.clip.wav}.wav", r.clip.offset, r.clip.samples)
    out = SetWriter(golden / name, name, "NeMo's greedy_batch on a random model", seed=42)
    write_set(out, nemo, ort, runs, f"../../models/{folder.name}", members)
    out.close()


def make_tiny(pools: Pools, golden: Path, models_dir: Path) -> None:
    """The sets tiny and tiny-80-none."""
    _tiny_set("tiny", TINY_SAMPLES, pools, golden, models_dir / "tiny-ours", batches=True)
    _tiny_set("tiny-80-none", TINY_SAMPLES[2:20:3], pools, golden, models_dir / "tiny-80-none", batches=False)


# (voice, speed in words a minute, pitch, text): texts of our own; long.wav stays below 30 s as one clip.
LONG = (
    ("en-us", 160, 50, "the morning train was late again so we walked along the river"),
    ("en-us", 150, 45, "please send the report to the office before noon on monday"),
    ("en-us", 165, 55, "she bought two apples and a loaf of bread at the corner shop"),
    ("en-us", 155, 50, "the children built a small bridge out of wood and string"),
    ("en-us", 160, 40, "we should call the doctor if the fever does not go down tonight"),
    ("en-us", 150, 50, "nobody remembered where the old map had been hidden"),
    ("en-us", 170, 50, "turn left after the station and look for the green door"),
    ("en-us", 160, 50, "that is all for now"),
)
SHORT = (
    ("en-us", 170, 50, "yes"),
    ("en-us", 160, 45, "no"),
    ("en-us", 160, 50, "thank you"),
    ("en-us", 160, 55, "good morning"),
    ("en-us", 150, 50, "open the window"),
    ("en-us", 165, 50, "what time is it now"),
    ("en-us", 160, 50, "i will be there in ten minutes"),
    ("en-us", 155, 45, "the answer is forty two"),
)
CLIPS_MIN = 20


def _demo_clips(folder: Path, pools: Pools) -> list[Clip]:
    """Every utterance alone, runs of neighbours, and long.wav whole; names tell the pool and the place in it."""
    clips = []
    for wav, utterances, runs in (("long", LONG, (2, 3, 5)), ("short", SHORT, (2, 4))):
        sound, spans = audio.speech_pool_spans(utterances, 0.2, 11)
        audio.write_wav(folder / f"{wav}.wav", sound)
        for first in range(len(spans)):
            for count in (1, *(r for r in runs if first % r == 0)):
                if first + count <= len(spans):
                    start, end = spans[first][0], spans[first + count - 1][1]
                    clips.append(Clip(f"{wav}.{first}.{count}", wav, start, end - start))
        clips.append(Clip(f"{wav}.whole", wav, 0, len(sound)))
    # A clip may begin and end anywhere, in the middle of a word too.
    clips += [Clip(f"long.cut.{samples}", "long", 37 * samples, samples) for samples in (6400, 7007, 9999)]
    assert 27 * audio.RATE_HZ <= len(pools.pool("long")) <= 29.5 * audio.RATE_HZ, len(pools.pool("long"))
    return clips


def make_from_nemo(archive: Path, folder: Path, golden: Path, name: str) -> None:
    """A set for a trained model: espeak-ng speech of ragged lengths."""
    from nemo.collections.asr.models import EncDecRNNTBPEModel

    nemo = oracle.Transducer(EncDecRNNTBPEModel.restore_from(str(archive), map_location="cpu").eval())
    ort = OrtModel(folder)
    out = SetWriter(golden / name, name, f"NeMo's greedy_batch on {archive.name}", seed=11)
    pools = Pools(out.folder)
    runs, unsteady = [], []
    for clip in _demo_clips(out.folder, pools):
        found = run(nemo, clip, pools.read(clip))
        check_export(ort, found)
        (runs if is_steady(ort, found) else unsteady).append(found)
    assert len(runs) >= CLIPS_MIN, f"expected {CLIPS_MIN} steady clips but found {len(runs)}"
    out.people["left_out_as_unsteady"] = [r.clip.name for r in unsteady]
    for r in runs:
        r.clip = Clip(r.clip.name, f"{r.clip.wav}.wav", r.clip.offset, r.clip.samples)
    names = [r.clip.name for r in runs]
    batches = {"two": names[:2], "six": names[1:18:3][:6], "whole": [n for n in names if n.endswith("whole")]}
    where = Path("../../../..") / folder.resolve().relative_to(Path(__file__).resolve().parents[3])
    write_set(out, nemo, ort, runs, where.as_posix(), {k: v for k, v in batches.items() if v})
    out.close()
