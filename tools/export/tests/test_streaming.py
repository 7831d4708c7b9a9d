"""Chunks with caches give what the whole utterance gives, when the model is causal; and the plan's arithmetic is NeMo's."""

import numpy as np
import pytest

from trt_asr_export.errors import ExportError
from trt_asr_export.streaming import chunk_of_frames, plan_of


def test_plans_of_known_models():
    """SOURCE: NeMo's streaming_cfg of a model with context [70, 13], and of parakeet v3 with 6 encoded frames of which 3 are dropped."""
    plan = plan_of(8, 8, 14, 70, 0)
    assert (plan.chunk_first, plan.chunk_next, plan.pre_encode, plan.drop_encoded_frames, plan.output_frames) == (
        105,
        112,
        9,
        2,
        14,
    )
    plan = plan_of(8, 4, 6, 256, 3)
    assert (plan.chunk_first, plan.chunk_next, plan.shift_first, plan.shift_next, plan.output_frames) == (
        41,
        48,
        17,
        24,
        3,
    )


@pytest.mark.parametrize("text, encoded", [("592", 74), ("41,57", 6), ("41,48", 6), ("105,112", 14), ("1,8", 1)])
def test_chunk_frames_are_read(text, encoded):
    assert chunk_of_frames(text, 8) == encoded


@pytest.mark.parametrize("text", ["0", "-8", "593", "41,50", "a", "41,57,3", ""])
def test_other_chunk_frames_are_refused(text):
    with pytest.raises(ExportError, match="--chunk-frames"):
        chunk_of_frames(text, 8)


class Stream:
    """One stream of a batch: what it feeds next, and what it has got."""

    def __init__(self, features_MT: np.ndarray, numbers: dict):
        self.features, self.numbers, self.at, self.out = features_MT, numbers, 0, []

    def chunk(self) -> tuple[np.ndarray, int]:
        """The next call's features, of fixed extent, and their length: padding or earlier frames first."""
        numbers = self.numbers
        when = "next" if self.at else "first"
        before, new = numbers["pre_encode_frames"][when], numbers["chunk_frames"][when]
        padding = 0 if self.at else numbers["first_padding_frames"]
        chunk = np.zeros(
            (self.features.shape[0], numbers["pre_encode_frames"]["next"] + numbers["chunk_frames"]["next"]), np.float32
        )
        chunk[:, :padding] = 77.0  # whatever lies there is not heard
        taken = self.features[:, max(self.at - before, 0) : self.at + new]
        missing = max(before - self.at, 0)
        chunk[:, padding + missing : padding + missing + taken.shape[1]] = taken
        self.at += numbers["shift_frames"][when]
        return chunk, padding + missing + taken.shape[1]


def empty_caches(numbers: dict, rows: int) -> list[np.ndarray]:
    shapes = [[rows if extent == "B" else extent for extent in port["shape"]] for port in numbers["inputs"][2:]]
    return [np.zeros(shape, np.int64 if len(shape) == 1 else np.float32) for shape in shapes]


@pytest.mark.parametrize("kind, changes, options", [
    ("cache_aware_rnnt", {}, {}),
    ("cache_aware_ctc", {"att_context_size": [28, 6]}, {}),
    ("cache_aware_rnnt", {}, {"attention_context": (70, 1)}),
    ("cache_aware_rnnt", {"subsampling_factor": 4, "att_context_size": [28, 6]}, {"fold_joint": True}),
    ("cache_aware_rnnt", {"att_context_style": "regular", "att_context_size": [20, 0]}, {"chunk_frames": "32"}),
])  # fmt: skip
def test_chunks_equal_the_whole(exported, kind, changes, options):
    """Two streams in one batch, of which the second starts three calls later: rows are independent.

    Chunks of one encoded frame are not here: before their second chunk lie fewer frames than the subsampling reaches, NeMo
    feeds zeros for them, and so its streams differ from the whole a little; tests/against_nemo.py compares those.
    """
    folder = exported(kind, changes, **options)
    numbers = folder.contract["streaming"]
    calls = 12
    total = numbers["chunk_frames"]["first"] + numbers["shift_frames"]["next"] * (calls - 1)
    features = np.random.default_rng(4).normal(size=(80, total)).astype(np.float32)
    streams = [Stream(features, numbers), Stream(features, numbers)]
    caches = empty_caches(numbers, 2)
    for call in range(calls):
        if call == 3:
            streams[1] = Stream(features, numbers)
            for cache in caches:
                cache[1] = 0
        chunks = [stream.chunk() for stream in streams]
        inputs = np.stack([chunk for chunk, _ in chunks]), np.array([length for _, length in chunks])
        encoded, lengths, *caches = folder.run("streaming", *inputs, *caches)
        caches = [cache.copy() for cache in caches]
        for stream, row, length in zip(streams, encoded, lengths):
            stream.out.append(row[:length])
    whole = folder.run("encoder", features[None], np.array([total]))[0][0]
    for stream in streams:
        streamed = np.concatenate(stream.out)
        np.testing.assert_allclose(streamed, whole[: len(streamed)], rtol=1e-4, atol=2e-4)
        assert len(streamed) == len(stream.out) * numbers["output_frames"]


@pytest.mark.parametrize("kind, graphs", [
    ("cache_aware_ctc", {"streaming_model.onnx"}),
    ("cache_aware_rnnt", {"streaming_encoder.onnx", "predictor.onnx", "joint.onnx"}),
])  # fmt: skip
def test_streaming_only_leaves_out_the_offline_graph_and_nothing_else(exported, kind, graphs):
    alone, both = exported(kind, streaming_only=True), exported(kind)
    assert {path.name for path in alone.path.glob("*.onnx")} == graphs
    encoder, numbers = alone.contract["encoder"], alone.contract["streaming"]
    offline = {key: both.contract["encoder"][key] for key in ("file", "inputs", "outputs")}
    assert encoder | offline == both.contract["encoder"] and not encoder.keys() & offline.keys()
    frames = numbers["pre_encode_frames"]["next"] + numbers["chunk_frames"]["next"]
    assert alone.contract["tensorrt"]["profiles"]["encoder"]["frames"] == {"min": frames, "opt": frames, "max": frames}
    same = set(both.contract) - {"model", "encoder", "tensorrt", "files"}
    assert all(alone.contract[key] == both.contract[key] for key in same)
    stream = Stream(np.random.default_rng(4).normal(size=(80, 500)).astype(np.float32), numbers)
    caches = [empty_caches(numbers, 1), empty_caches(numbers, 1)]
    for _ in range(3):
        chunk, length = stream.chunk()
        inputs = chunk[None], np.array([length])
        found, expected = (folder.run("streaming", *inputs, *own) for folder, own in zip((alone, both), caches))
        for one, other in zip(found, expected):
            np.testing.assert_array_equal(one, other)
        caches = [found[2:], expected[2:]]


@pytest.mark.parametrize("chunk_frames, drop, output", [("592", 0, 74), ("41,57", 3, 3)])
def test_a_model_that_is_not_causal_streams_for_parity(exported, chunk_frames, drop, output):
    folder = exported("tdt", chunk_frames=chunk_frames, cache_size=256, cache_drop_size=drop)
    numbers = folder.contract["streaming"]
    assert (
        numbers["cache_channel_frames"] == 256
        and numbers["cache_time_frames"] == 4
        and numbers["output_frames"] == output
    )
    stream = Stream(np.random.default_rng(4).normal(size=(128, 3000)).astype(np.float32), numbers)
    caches = empty_caches(numbers, 1)
    for call in range(4):
        chunk, length = stream.chunk()
        encoded, lengths, *caches = folder.run("streaming", chunk[None], np.array([length]), *caches)
        assert encoded.shape[1] == output and lengths[0] == output and np.isfinite(encoded).all()
        assert caches[2][0] == min(256, output * (call + 1))


@pytest.mark.parametrize("options, field", [
    ({"streaming": True}, "--chunk-frames"),
    ({"chunk_frames": "592"}, "--cache-size"),
    ({"chunk_frames": "592", "cache_size": 400}, "--cache-size"),
    ({"chunk_frames": "592", "cache_size": 256, "cache_drop_size": 74}, "--cache-drop-size"),
    ({"streaming": False, "cache_size": 256}, "--no-streaming"),
    ({"streaming": False, "streaming_only": True}, "--no-streaming"),
    ({"streaming_only": True}, "--chunk-frames"),
])  # fmt: skip
def test_streaming_options_that_do_not_fit_are_refused(archives, tmp_path, options, field):
    from trt_asr_export import ExportOptions, export_model

    with pytest.raises(ExportError) as caught:
        export_model(archives("tdt"), tmp_path / "out", ExportOptions(**options))
    assert caught.value.field == field and list(tmp_path.iterdir()) == []
