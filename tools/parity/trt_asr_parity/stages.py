"""One stage of one side: arrays in, arrays out. The same few lines run NeMo, our PyTorch modules and the graphs."""

import numpy as np

from . import streaming
from .audio import waveform
from .greedy import Transcript
from .store import Item
from .streaming import Caches, StreamPlan

# In the order of the data.
STAGES = ("features", "encoder", "streaming", "closed-loop", "predictor", "joint", "decode", "transcribe")


def _features_of(given: dict) -> tuple[np.ndarray, np.ndarray]:
    """features_BMT and lengths as given, or `row.N` of ragged features_MT padded with zeros."""
    if "features" in given:
        return given["features"], given["lengths"]
    rows = [given[f"row.{index}"] for index in range(len(given))]
    lengths = np.array([row.shape[1] for row in rows], np.int64)
    features = np.zeros((len(rows), rows[0].shape[0], int(lengths.max())), np.float32)
    for index, row in enumerate(rows):
        features[index, :, : row.shape[1]] = row
    return features, lengths


def _features(side, item: Item, given: dict, contract: dict) -> dict:
    return {"features": side.features(waveform(given["pcm"]))}


def _encoder(side, item: Item, given: dict, contract: dict) -> dict:
    encoded, lengths = side.encode(*_features_of(given))
    return {"encoded": streaming.rows_of(encoded, lengths), "encoded_lengths": lengths}


def _streaming(side, item: Item, given: dict, contract: dict) -> dict:
    caches = Caches(*(given[name] for name in ("cache_last_channel", "cache_last_time", "cache_last_channel_len")))
    encoded, lengths, after = side.stream(given["features"], given["lengths"], caches, False)
    return {"encoded": streaming.rows_of(encoded, lengths), "encoded_lengths": lengths, **after.outputs(side.plan, lengths)}


def _closed_loop(side, item: Item, given: dict, contract: dict) -> dict:
    plan, encoder = StreamPlan.of(contract), contract["encoder"]
    caches = Caches.empty(plan, 1, encoder["layers"], encoder["width"])
    return streaming.closed_loop(side, plan, given["features"], item.facts["keep"], caches, item.facts["last_lacks"])


def _predictor(side, item: Item, given: dict, contract: dict) -> dict:
    """Token after token, each with the state that the one before left."""
    tokens = given["tokens"]
    shape = (contract["predictor"]["layers"], len(tokens), contract["predictor"]["width"])
    state, outputs = (np.zeros(shape, np.float32), np.zeros(shape, np.float32)), []
    for step in range(tokens.shape[1]):
        predicted, *after = side.predict(tokens[:, step : step + 1], *state)
        state = tuple(after)
        outputs.append(predicted)
    return {"predicted": np.concatenate(outputs, axis=1), "state_h": state[0], "state_c": state[1]}


def _joint(side, item: Item, given: dict, contract: dict) -> dict:
    """All pairs as one batch, and the first alone: a batch must not change what a row gives."""
    encoded, predicted = given["encoded"][:, None], given["predicted"][:, None]
    logits = side.joint(encoded, predicted)
    return {"logits": logits, "logits_alone": side.joint(encoded[:1], predicted[:1])}


def told(found: list[Transcript], side) -> dict:
    """The decisions of a batch, row after row, and its words."""
    rows = [transcript.decisions() for transcript in found]
    out = {name: np.concatenate([row[name] for row in rows]) for name in ("tokens", "frames", "durations")}
    words = [side.words(transcript) for transcript in found]
    out["rows"] = np.array([len(row["tokens"]) for row in rows], np.int64)
    out["word_frames"] = np.array([(w.start_frame, w.end_frame) for row in words for w in row], np.int64).reshape(-1, 2)
    out["words"] = [word.text for row in words for word in row]
    return out


def _decode(side, item: Item, given: dict, contract: dict) -> dict:
    return told(side.decode([given["encoded"]]), side)


def _transcribe(side, item: Item, given: dict, contract: dict) -> dict:
    encoded, lengths = side.encode(*_features_of(given))
    return told(side.decode([row[: int(length)] for row, length in zip(encoded, lengths)]), side)


_RUN = {
    "features": _features, "encoder": _encoder, "streaming": _streaming, "closed-loop": _closed_loop,
    "predictor": _predictor, "joint": _joint, "decode": _decode, "transcribe": _transcribe,
}  # fmt: skip


def run(side, item: Item, contract: dict) -> dict:
    """The outputs of `side` for `item`, as arrays or lists of strings by name."""
    found = _RUN[item.stage](side, item, item.arrays(), contract)
    if contract["decode"]["rule"] == "ctc" and "encoded" in found:
        found["classes"] = found["encoded"].argmax(axis=1)
    # A long array may be looked at in samples, to keep a reference small; which ones is said by the item.
    stride = item.facts.get("stride", {})
    return {name: _sampled(name, value, stride.get(name, 1)) for name, value in found.items()}


def _sampled(name: str, value, stride: int):
    """Every `stride`-th value; of log probabilities every `stride`-th class, so that rows stay rows."""
    if stride == 1:
        return value
    return value[:, ::stride] if name == "encoded" else value.reshape(-1)[::stride]
