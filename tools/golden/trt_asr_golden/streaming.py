"""The sets streaming/*: NeMo's cache-aware streaming in a closed loop, by tiny random models and by a trained one."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from trt_asr_export import ExportOptions, export_model
from trt_asr_export.random_model import write_random_archive

from . import audio, models, oracle, oracle_streaming, transcripts
from .audio import Clip, Pools
from .oracle_ctc import Ctc
from .ort_streaming import OrtStream
from .writer import SetWriter

SEED = 42


@dataclass(frozen=True)
class Source:
    """A random archive of a cache-aware model that hears (context[1] + 1) encoder frames a chunk."""

    kind: str
    context: tuple[int, int]
    seed: int

    def write(self, path: Path) -> None:
        write_random_archive(path, self.kind, self.seed, att_context_size=list(self.context))


# Chunks of one encoder frame have fewer frames before the second one than the subsampling reaches: NeMo feeds zeros for them.
# SOURCE: seeds tried: with these the models give tokens and blanks on speech, and RNN-T up to max_symbols on a frame.
SOURCES = {"ctc": Source("cache_aware_ctc", (70, 0), 45), "rnnt": Source("cache_aware_rnnt", (70, 1), 42)}

# WHY: a frame alone, 50 ms, the end and the middle of chunks of 9, 8 and 16 mel frames, ends that NeMo's buffer leaves
#      out, and more than the caches hold (70 encoder frames, 5.6 s).
SAMPLES = (160, 800, 1440, 3333, 4000, 4800, 5280, 12345, 24000, 48000, 64000, 128001, 192000)
NOISE = (4000, 12345, 48000)


def make_models(out: Path) -> None:
    """Writes the random models to `out`, the streaming graph alone."""
    for name, source in SOURCES.items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / f"{name}.nemo"
            source.write(archive)
            export_model(archive, folder, ExportOptions(name=f"streaming-{name}", streaming_only=True))
        (folder / "model_meta.json").unlink()
        models.shorten(folder)
        models.refresh_hashes(folder)


def _restored(archive: Path):
    """The model of NeMo in `archive`, ready to be asked."""
    from nemo.core import ModelPT

    model = ModelPT.restore_from(str(archive), map_location="cpu").eval()
    return oracle.Transducer(model) if hasattr(model, "joint") else Ctc(model)


@dataclass
class Heard:
    """A clip through NeMo's loop: what the other sets know of a clip, and its chunks."""

    run: transcripts.Run
    stream: oracle_streaming.Stream


def _hear(nemo, ort: OrtStream, clip: Clip, samples: np.ndarray, padded: bool = False) -> Heard:
    """`padded` as oracle_streaming.run has it. Raises AssertionError when the exported streaming graph does not give what NeMo gives."""
    if len(samples) == 0:
        run = transcripts.empty(clip)
        return Heard(run, oracle_streaming.Stream(run.features_BMT[0].numpy(), run.encoded_TD, [], run.transcript, 0))
    features_1MT = oracle_streaming.features_of(nemo.model, samples)
    stream = oracle_streaming.run(nemo, features_1MT, padded)
    run = transcripts.Run(clip, samples, features_1MT, features_1MT.shape[2], stream.encoded_TD, stream.transcript)
    transcripts.check_export(ort, run)
    assert ort.chunks == [(chunk.begin, chunk.frames, chunk.encoded) for chunk in stream.chunks], clip
    return Heard(run, stream)


def _is_lively(run: transcripts.Run) -> bool:
    """Whether there is something to compare: shorter than a second, nothing need be found."""
    tokens, frames = len(run.transcript.tokens), len(run.encoded_TD)
    return run.clip.samples < audio.RATE_HZ or (tokens >= frames / 8 and run.counts["blanks"] >= frames / 8)


def steady(nemo, ort: OrtStream, pools: Pools, wav: str, samples: int, generator, padded: bool = False) -> Heard:
    """A slice of a pool with tokens and blanks, and the same ones when the features move a little."""
    room = len(pools.pool(wav)) - samples
    for _ in range(transcripts.TRIES_MAX):
        clip = Clip(f"{wav}.{samples}", wav, int(generator.integers(0, room + 1)), samples)
        heard = _hear(nemo, ort, clip, pools.read(clip), padded)
        if transcripts.is_steady(ort, heard.run) and _is_lively(heard.run):
            return heard
    raise RuntimeError(f"expected a steady slice of {samples} samples of {wav} but found none in {transcripts.TRIES_MAX} tries")


def write_chunks(out: SetWriter, heard: Heard) -> None:
    name, chunks = heard.run.clip.name, heard.stream.chunks
    for kind in ("begin", "frames", "encoded", "tokens"):
        out.ints(name, f"chunk_{kind}", [getattr(chunk, kind) for chunk in chunks])
    if heard.stream.left_out:
        out.ints(name, "left_out", [heard.stream.left_out])


def _write_set(out: SetWriter, ort: OrtStream, clips: list[Heard], folder_of_model: str) -> None:
    transcripts.write_model(out, ort, [heard.run for heard in clips], folder_of_model)
    numbers = ort.contract["streaming"]
    for kind in ("chunk_frames", "shift_frames", "pre_encode_frames"):
        out.ints("set", kind, [numbers[kind]["first"], numbers[kind]["next"]])
    # WHY: encoder frames can be judged by themselves on exact features; a few clips of several chunks are enough for it.
    exact = [heard.run.clip.name for heard in clips if 5 <= heard.run.feature_frames <= 80][:4]
    for heard in clips:
        transcripts.write_item(out, heard.run)
        write_chunks(out, heard)
        transcripts.write_tensors(out, heard.run, heard.run.clip.name in exact)


def make(pools: Pools, golden: Path, models_dir: Path) -> None:
    """Writes streaming/ctc and streaming/rnnt, of the models as they are in `models_dir`."""
    for name, source in SOURCES.items():
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / f"{name}.nemo"
            source.write(archive)
            nemo = _restored(archive)
        ort, generator = OrtStream(models_dir / name), np.random.default_rng(SEED)
        clips = [_hear(nemo, ort, Clip("empty", "speech", 0, 0), np.zeros(0, np.float32))]
        for samples in SAMPLES:
            wav = "noise" if samples in NOISE else "speech"
            clips.append(steady(nemo, ort, pools, wav, samples, generator))
        for heard in clips:
            clip = heard.run.clip
            heard.run.clip = Clip(clip.name, f"../../audio/{clip.wav}.wav", clip.offset, clip.samples)
        note = f"NeMo's cache-aware streaming on a random model, rule {ort.rule}"
        out = SetWriter(golden / "streaming" / name, f"streaming/{name}", note, seed=SEED)
        _write_set(out, ort, clips, f"../../../models/streaming/{name}")
        out.close()


# Of the joined clip: pools of other sets and the new one, about a minute.
JOINED = ("long", "short", "speech", "unseen")
UNSEEN_CLIPS = 9
UNSEEN_SAMPLES_MAX = 300_000
# WHY: a clip that a real-time client would send in one piece is about this long.
UNSEEN_SECONDS = (1.2, 2.6)


def _write_unseen(corpus: Path, path: Path) -> list[Clip]:
    """Sentences of the corpus's unseen test, one after another, as a pool; each is a clip of it."""
    index = json.loads((corpus / "sentences_unseen.json").read_text(encoding="utf-8"))
    samples = np.load(corpus / "sentences_unseen.npy", mmap_mode="r")
    least, most = (int(seconds * audio.RATE_HZ) for seconds in UNSEEN_SECONDS)
    chosen = [row for row in index if least <= row["samples"] <= most][: 4 * UNSEEN_CLIPS : 4]
    clips, parts, at = [], [], 0
    for number, row in enumerate(chosen):
        if at + row["samples"] > UNSEEN_SAMPLES_MAX:
            break
        clips.append(Clip(f"unseen.{number}", "unseen", at, row["samples"]))
        parts.append(samples[row["first"] : row["first"] + row["samples"]])
        at += row["samples"]
    audio.write_wav(path, np.concatenate(parts))
    return clips


def _write_joined(out: SetWriter, name: str, parts: list[Clip]) -> None:
    """A signal of several clips one after another; the parts are clips of the set."""
    out.record("joined", name, len(parts), *(part.name for part in parts))


class PoolsAt(Pools):
    """Pools that lie in several folders, by the paths that the manifest has."""

    def __init__(self, folder: Path, paths: dict[str, str]):
        super().__init__(folder)
        self.paths = paths

    def pool(self, name: str) -> np.ndarray:
        return super().pool(self.paths[name])


def make_from_nemo(archive: Path, folder: Path, golden: Path, name: str, corpus: Path) -> None:
    """A set for a trained model: sentences it never heard, cut ones, very short ones, and a minute without a break."""
    nemo, ort = _restored(archive), OrtStream(folder)
    out = SetWriter(golden / "streaming" / name, f"streaming/{name}", f"NeMo's cache-aware streaming on {archive.name}")
    paths = {"unseen": "unseen", "speech": "../../audio/speech"}
    paths |= {wav: f"../../demo-en/{wav}" for wav in ("long", "short")}
    pools = PoolsAt(out.folder, paths)
    planned = _write_unseen(corpus, out.folder / "unseen.wav")
    planned += [
        Clip("empty", "unseen", 0, 0),
        Clip("long.800", "long", 16000, 800),
        Clip("long.shorter-than-a-chunk", "long", 16000, 6400),
        Clip("long.middle-of-a-chunk", "long", 3000, 70000),
        Clip("short.whole", "short", 0, len(pools.pool("short"))),
    ]
    whole = [Clip(f"{wav}.all", wav, 0, len(pools.pool(wav))) for wav in JOINED]
    clips = [_hear(nemo, ort, clip, pools.read(clip)) for clip in planned]
    joined = np.concatenate([pools.read(clip) for clip in whole])
    clips.append(_hear(nemo, ort, Clip("joined", "", 0, len(joined)), joined))
    runs = [heard.run for heard in clips if heard.run.samples.size]
    unsteady = [run.clip.name for run in runs if not transcripts.is_steady(ort, run)]
    out.people["left_out_as_unsteady"] = unsteady
    clips = [heard for heard in clips if heard.run.clip.name not in unsteady]
    for heard in clips:
        clip = heard.run.clip
        heard.run.clip = Clip(clip.name, clip.wav and f"{paths[clip.wav]}.wav", clip.offset, clip.samples)
    for clip in whole:
        out.record("clip", clip.name, f"{paths[clip.wav]}.wav", clip.offset, clip.samples)
    _write_joined(out, "joined", whole)
    where = Path("../../../../..") / folder.resolve().relative_to(Path(__file__).resolve().parents[3])
    _write_set(out, ort, clips, where.as_posix())
    out.close()
