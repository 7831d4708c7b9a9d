"""What is asked of every side: seeded random inputs and real speech, ragged on purpose, singles and batches."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import greedy, stages
from .audio import LONG_CLIPS, SHORT_CLIPS, Clip, own_clips
from .errors import ParityError
from .store import Item, Seeded
from .streaming import StreamPlan

# CONTRACT: random features look like log-mel. SOURCE: per-feature normalisation gives mean 0 and deviation 1; without it
# real speech had mean -3.91 and deviation 2.77 (80 bins). WHY: activations far from the usual hide or invent differences.
FEATURE_LOOK = {"per_feature": (0.0, 1.0), "none": (-3.91, 2.77)}
# WHY: steady decisions. Where two logits are closer than this, a golden would depend on the machine's rounding.
MARGIN_MIN = 2e-3


@dataclass(frozen=True)
class Size:
    """How much is asked: `small` is committed with the repository, `full` is for a model at work."""

    clips: tuple[Clip, ...]
    feature_clips: int
    noise_frames: tuple[int, ...]
    batch_frames: tuple[int, ...]
    stream_chunks: tuple[int, ...]
    kept_chunks_max: int
    predictor_steps: int
    joint_rows: int
    half_precision_speech: bool
    # Every n-th value of the caches, and every n-th class of CTC's log probabilities.
    cache_stride: int
    class_stride: int


# WHY 13: it shares no divisor with any width, so that every channel of a cache is looked at.
SIZES = {
    "small": Size(SHORT_CLIPS[:2], 0, (1, 9, 61), (90, 61, 17), (50, 300), 4, 6, 6, True, 13, 9),
    "full": Size(LONG_CLIPS, 3, (1, 9, 333, 1501), (400, 333, 57, 8), (50,), 300, 24, 64, False, 1, 1),
    "long": Size(LONG_CLIPS, 3, (1, 9, 333, 1501), (400, 333, 57, 8), (50, 300), 300, 24, 64, False, 1, 1),
}


def with_audio(size: Size, audio: list[Path]) -> Size:
    """Audio files of the user's own take the place of the repository's clips."""
    return replace(size, clips=own_clips(audio)) if audio else size


def _noise(contract: dict, seed: int, name: str, batch: int, frames: int) -> Seeded:
    mean, deviation = FEATURE_LOOK[contract["features"]["normalization"]]
    shape = (batch, contract["features"]["mel_bins"], frames)
    return Seeded(shape, seed, f"features/{name}", deviation=deviation, mean=mean)


def feature_items(size: Size) -> list[Item]:
    return [Item("features", clip.name, {"pcm": clip.pcm()}) for clip in size.clips[: size.feature_clips]]


def speech_features(base, size: Size) -> dict[str, np.ndarray]:
    """The base side's valid features_MT of each clip; at half precision they are a smaller file and no worse a question."""
    kind = np.float16 if size.half_precision_speech else np.float32
    return {clip.name: base.features(clip.read()).astype(kind) for clip in size.clips}


def encoder_items(contract: dict, seed: int, size: Size, speech: dict[str, np.ndarray]) -> list[Item]:
    items = []
    for frames in size.noise_frames:
        lengths = np.array([frames], np.int64)
        items.append(Item("encoder", f"noise.{frames}",
                          {"features": _noise(contract, seed, f"noise.{frames}", 1, frames), "lengths": lengths}))  # fmt: skip
    # The padding holds noise, and one frame more than any row needs: a graph that forgets a mask fails here.
    lengths = np.array(size.batch_frames, np.int64)
    noise = _noise(contract, seed, "noise.batch", len(lengths), max(size.batch_frames) + 1)
    items.append(Item("encoder", "noise.batch", {"features": noise, "lengths": lengths}))
    items += [Item("encoder", name, _rows([part])) for name, part in speech.items()]
    items.append(Item("encoder", "speech.batch", _rows(list(speech.values()))))
    return items


def _rows(parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Ragged features_MT by row; stages.py pads them, so that a batch costs a reference nothing beyond its rows."""
    return {f"row.{index}": part for index, part in enumerate(parts)}


def streaming_items(contract: dict, seed: int, size: Size) -> list[Item]:
    """Functional: one chunk from given caches. Closed loop: the caches are the side's own, fed back. Every stream ends within a chunk,
    one of them within its first; past its end the features are noise.
    """
    if "streaming" not in contract:
        return []
    plan, encoder = StreamPlan.of(contract), contract["encoder"]
    shape = (2, encoder["layers"], plan.cache_channel_frames, encoder["width"])
    begin, end = plan.span(2)
    thinned = {"stride": {name: size.cache_stride for name in ("cache_last_channel_next", "cache_last_time_next")}}
    items = [Item("streaming", "given-caches", {
        "features": _noise(contract, seed, "streaming", 2, end - begin),
        "lengths": np.array([end - begin, end - begin - plan.lack(2)], np.int64),
        "cache_last_channel": Seeded(shape, seed, "caches/channel"),
        "cache_last_time": Seeded((2, shape[1], shape[3], plan.cache_time_frames), seed, "caches/time"),
        "cache_last_channel_len": np.array([plan.cache_channel_frames, plan.cache_channel_frames // 3], np.int64),
    }, thinned)]  # fmt: skip
    for chunks in (1, *size.stream_chunks):
        keep = np.unique(np.linspace(0, chunks - 1, min(chunks, size.kept_chunks_max)).round().astype(int)).tolist()
        noise = _noise(contract, seed, f"closed-loop.{chunks}", 1, plan.frames(chunks))
        facts = {"chunks": chunks, "keep": keep, "last_lacks": plan.lack(chunks - 1), **thinned}
        items.append(Item("closed-loop", f"{chunks}-chunks" if chunks > 1 else "1-chunk", {"features": noise}, facts))
    return items


def predictor_items(contract: dict, seed: int, size: Size) -> list[Item]:
    if "predictor" not in contract:
        return []
    blank = contract["decode"]["blank_id"]
    items = []
    for name, batch in (("single", 1), ("batch", 3)):
        tokens = Seeded((batch, size.predictor_steps), seed, f"tokens/{name}", "integers", end=blank + 1)
        items.append(Item("predictor", name, {"tokens": tokens}))
    return items


def joint_items(contract: dict, seed: int, size: Size, base, speech: dict[str, np.ndarray]) -> list[Item]:
    """Random pairs, and pairs of real encoder frames and predictor outputs."""
    if "joint" not in contract:
        return []
    width, state = contract["encoder"]["output_width"], contract["predictor"]["width"]
    rows = size.joint_rows
    noise = {"encoded": Seeded((rows, width), seed, "joint/encoded"),
             "predicted": Seeded((rows, state), seed, "joint/predicted", deviation=0.5)}  # fmt: skip
    encoded = encoded_of(base, next(iter(speech.values())))
    tokens = Seeded((1, rows), seed, "tokens/joint", "integers", end=contract["decode"]["blank_id"] + 1)
    predicted = stages.run(base, Item("predictor", "joint", {"tokens": tokens}), contract)["predicted"]
    picked = np.linspace(0, len(encoded) - 1, rows).round().astype(int)
    real = {"encoded": encoded[picked], "predicted": predicted.reshape(rows, state)}
    return [Item("joint", "noise", noise), Item("joint", "speech", real)]


def encoded_of(side, features_MT: np.ndarray) -> np.ndarray:
    """encoded_TD of one utterance."""
    return stages.run(side, Item("encoder", "", _rows([features_MT])), side.contract)["encoded"]


def decode_items(contract: dict, base, speech: dict[str, np.ndarray]) -> tuple[list[Item], dict[str, float]]:
    """decode: from given encoder frames. transcribe: from features, through the side's own encoder. Only steady clips; the others are
    returned with how close their two best classes came. Raises ParityError when no clip is steady.
    """
    items, kept, unsteady = [], {}, {}
    for name, part in speech.items():
        encoded = encoded_of(base, part)
        margin = greedy.decode(base, contract, encoded).margin_min
        if margin < MARGIN_MIN:
            unsteady[name] = round(margin, 6)
            continue
        kept[name] = encoded
        items.append(Item("decode", name, {"encoded": encoded}, {"margin_min": round(margin, 5)}))
        items.append(Item("transcribe", name, _rows([part])))
    if not kept:
        raise ParityError("clips", f"one whose two best classes are never closer than {MARGIN_MIN:g}", json.dumps(unsteady),
                          "Give other speech with --audio.")  # fmt: skip
    if len(kept) > 1:
        items.append(Item("transcribe", "batch", _rows([speech[name] for name in kept])))
    return items, unsteady


def make(contract: dict, seed: int, size: Size, base) -> tuple[list[Item], dict[str, float]]:
    """All items, and the clips that are no item of decode; `base`, the bottom of the ladder, makes what only a model can make."""
    speech = speech_features(base, size)
    decoded, unsteady = decode_items(contract, base, speech)
    found = [
        *feature_items(size),
        *encoder_items(contract, seed, size, speech),
        *streaming_items(contract, seed, size),
        *predictor_items(contract, seed, size),
        *joint_items(contract, seed, size, base, speech),
        *decoded,
    ]
    if contract["decode"]["rule"] == "ctc" and size.class_stride > 1:
        for item in found:
            if item.stage in ("encoder", "streaming", "closed-loop"):
                item.facts["stride"] = {**item.facts.get("stride", {}), "encoded": size.class_stride}
    return found, unsteady
