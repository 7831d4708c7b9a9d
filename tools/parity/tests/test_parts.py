"""The parts of the ladder by themselves."""

import json

import numpy as np
import pytest
from trt_asr_parity import greedy, metrics, numbers, report, store
from trt_asr_parity.compare import Comparison
from trt_asr_parity.errors import ParityError
from trt_asr_parity.ladder import Climb
from trt_asr_parity.metrics import Tolerance
from trt_asr_parity.store import Item, Seeded
from trt_asr_parity.streaming import Caches, StreamPlan, closed_loop
from trt_asr_parity.words import Vocabulary, words_of

TDT = {
    "features": {"normalization": "per_feature"},
    "predictor": {"layers": 1, "width": 2},
    "joint": {"durations": 3},
    "decode": {"rule": "tdt", "blank_id": 3, "durations": [0, 1, 2], "max_symbols_per_frame": 2},
}


def test_seeded_numbers_never_change():
    assert numbers.sha256_of(numbers.normal(42, "x", (5, 7)))[:16] == "4c53edf02ee5265d"
    assert numbers.integers(42, "tokens", (6,), 10).tolist() == [6, 1, 3, 6, 4, 0]
    assert abs(float(numbers.normal(1, "y", (100000,)).std()) - 1) < 0.01


def test_distance_is_held_against_the_tolerance():
    apart = metrics.distance(np.array([1.0, 2.0, 3.00021]), np.array([1.0, 2.0, 3.0]), Tolerance(1e-4, 1e-4))
    assert 0.52 < apart.excess < 0.53
    assert metrics.distance(np.array([1.0021]), np.array([1.0]), Tolerance(1e-4, 1e-4)).excess > 1
    assert metrics.distance(np.array([np.nan]), np.array([0.0]), Tolerance(1.0, 0.0)).excess == np.inf
    assert metrics.distance(np.zeros(0), np.zeros(0), Tolerance(1.0, 0.0)).excess == 0


def test_edits_count_what_differs():
    assert metrics.edits([1, 2, 3], [1, 2, 3]) == 0
    assert metrics.edits([1, 3], [1, 2, 3]) == 1
    assert metrics.edits([4, 4], []) == 2
    assert metrics.edits([2, 1], [1, 2]) == 2


def test_drift_is_the_line_through_the_chunks():
    lower = np.zeros((40, 2))
    upper = np.repeat(np.arange(10.0), 4)[:, None] * 1e-5 * np.ones((1, 2))
    line = metrics.drift(upper, lower, [4] * 10, list(range(0, 100, 10)))
    assert line.slope == pytest.approx(1e-6) and line.growth == pytest.approx(9e-5)


class Scripted:
    """A side whose joint plays a list of (label, duration) and whose predictor remembers nothing."""

    def __init__(self, script):
        self.script, self.pushed = list(script), []

    def predict(self, token, h, c):
        self.pushed.append(int(token[0, 0]))
        return np.zeros((1, 1, 2), np.float32), h, c

    def joint(self, encoded, predicted):
        label, duration = self.script.pop(0)
        logits = np.zeros((1, 4 + 3), np.float32)
        logits[0, label] = logits[0, 4 + duration] = 1
        return logits


def test_tdt_moves_by_durations_and_stops_at_the_cap():
    # Frame 0: two labels of duration 0 meet the cap. Frame 1: a blank of duration 0 moves by 1. Frame 2: a label of 2.
    side = Scripted([(0, 0), (1, 0), (3, 0), (2, 2), (3, 1)])
    found = greedy.transducer(side, TDT, np.zeros((5, 2), np.float32))
    assert (found.tokens, found.frames, found.durations) == ([0, 1, 2], [0, 0, 2], [0, 0, 2])
    assert (found.blanks, found.guard_hits) == (2, 1)
    # The start symbol, then each label; never after a blank.
    assert side.pushed == [3, 0, 1, 2]


def test_ctc_collapses_repeats_but_not_over_a_blank():
    scores = np.eye(4, dtype=np.float32)[[0, 0, 3, 0, 1, 1, 3]]
    found = greedy.ctc({"decode": {"blank_id": 3}}, scores)
    assert (found.tokens, found.frames, found.blanks) == ([0, 0, 1], [0, 3, 4], 2)


def test_words_start_at_the_mark_and_punctuation_joins():
    vocabulary = Vocabulary(["\u2581the 0", "\u2581is 1", ". 2", "s 3", "<blk> 4"])
    found = greedy.Transcript([0, 3, 1, 2], [0, 2, 4, 20], [2, 1, 3, 4])
    told = [(word.text, word.start_frame, word.end_frame) for word in words_of(found, "tdt", vocabulary)]
    assert told == [("thes", 0, 3), ("is.", 4, 7)]


def test_chunks_overlap_by_what_is_given_again():
    plan = StreamPlan(105, 112, 9, 2, 14, 70, 8, 0, 8)
    assert [plan.span(chunk) for chunk in range(3)] == [(0, 105), (96, 217), (208, 329)]
    assert plan.first_padding_frames == 16
    again = StreamPlan(41, 48, 9, 2, 3, 256, 4, 3, 8)
    assert [again.begin(chunk) for chunk in range(4)] == [0, 17, 41, 65]


def _item():
    return Item("encoder", "one", {"features": Seeded((1, 2, 3), 1, "f"), "lengths": np.array([3])})


def test_a_reference_survives_the_disk_and_notices_a_change(tmp_path):
    out = store.Writer(tmp_path, {"seed": 1})
    out.add(_item(), {"encoded": np.ones((2, 2), np.float32), "encoded_lengths": np.array([2])})
    out.close()
    first = (tmp_path / "values.npz").read_bytes()
    back = store.load(tmp_path)
    assert back.outputs["encoder", "one"]["encoded"].tolist() == [[1, 1], [1, 1]]
    assert back.items[0].inputs["features"].make().shape == (1, 2, 3)
    out.close()
    assert (tmp_path / "values.npz").read_bytes() == first
    lines = (tmp_path / "reference.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[1])
    record["inputs"]["features"]["seeded"]["stream"] = "g"
    (tmp_path / "reference.jsonl").write_text("\n".join([lines[0], json.dumps(record)]), encoding="utf-8")
    with pytest.raises(ParityError, match="encoder/one.inputs.features"):
        store.load(tmp_path)


def test_a_missing_reference_says_what_to_do(tmp_path):
    with pytest.raises(ParityError, match="trt_asr_parity reference"):
        store.load(tmp_path)


def test_arrays_are_stored_once_when_their_bytes_are_the_same(tmp_path):
    out = store.Writer(tmp_path, {})
    zeros = np.zeros((2, 50), np.float32)
    out.add(Item("encoder", "one", {}), {"plus": zeros, "minus": -zeros, "again": zeros.copy()})
    out.close()
    assert list(out.arrays) == ["encoder/one/out/plus", "encoder/one/out/minus"]
    # 0.0 equals -0.0 and has other bytes: a reference that kept one for both could not be read.
    assert np.signbit(store.load(tmp_path).outputs["encoder", "one"]["minus"]).all()


@pytest.mark.parametrize("strict", [True, False])
def test_a_difference_fails_fp32_and_is_told_of_int8(strict):
    lower = {"encoded": np.ones((2, 2), np.float32), "encoded_lengths": np.array([2])}
    upper = {"encoded": np.full((2, 2), 1.1, np.float32), "encoded_lengths": np.array([2])}
    checks = Comparison("torch/ort", _item(), TDT, strict).run(upper, lower)
    assert [check.passed for check in checks] == [False, True]
    assert any(check.failed for check in checks) == strict


@pytest.mark.parametrize("spoilt", [{"encoded_lengths": np.array([3])}, {"encoded": np.full((2, 2), np.nan, np.float32)},
                                    {"encoded": np.ones((3, 2), np.float32)}])  # fmt: skip
def test_lengths_shapes_and_nan_fail_every_precision(spoilt):
    lower = {"encoded": np.ones((2, 2), np.float32), "encoded_lengths": np.array([2])}
    assert any(check.failed for check in Comparison("torch/ort", _item(), TDT, False).run({**lower, **spoilt}, lower))


def test_an_answer_that_is_missing_fails():
    (check,) = Comparison("torch/ort", _item(), TDT, False).run({}, {"encoded": np.ones((1, 1))})
    assert check.failed and "did not answer" in check.reason


def test_frames_past_a_stream_s_end_are_not_compared_and_those_before_are():
    plan = StreamPlan(105, 112, 9, 2, 14, 70, 8, 0, 8)
    caches = Caches(np.ones((2, 1, 70, 3), np.float32), np.ones((2, 1, 3, 8), np.float32), np.array([70, 70]))
    channel = caches.outputs(plan, np.array([14, 9]))["cache_last_channel_next"]
    assert channel[0].all()
    assert channel[1, :, :65].all() and not channel[1, :, 65:].any()


@pytest.mark.parametrize("chunks, lengths", [(1, [62]), (3, [105, 121, 78])])
def test_a_closed_loop_ends_within_its_last_chunk(chunks, lengths):
    plan, given = StreamPlan(105, 112, 9, 2, 14, 70, 8, 0, 8), []

    class Heard:
        def stream(self, features_BMT, lengths_B, caches, first):
            given.append(int(lengths_B[0]))
            return np.zeros((1, 14, 2), np.float32), np.array([14]), caches

    features = np.zeros((1, 2, plan.frames(chunks)), np.float32)
    closed_loop(Heard(), plan, features, [chunks - 1], Caches.empty(plan, 1, 1, 3), plan.lack(chunks - 1))
    assert given == lengths


@pytest.mark.parametrize("rungs, told", [
    (["torch/ort"], "There is no reference by NeMo here"), (["nemo/ort"], "The graphs alone are held against NeMo here"),
    (["nemo/torch", "torch/ort", "nemo/ort"], None),
])  # fmt: skip
def test_a_report_says_what_the_ladder_stands_on(rungs, told):
    text = "\n".join(report.sections(Climb("int8", rungs)))
    sentences = [one for one in ("There is no reference by NeMo", "The graphs alone are held against NeMo") if one in text]
    assert sentences == ([told.removesuffix(" here")] if told else [])
    assert "Predictor and joint stay fp32 on purpose" in text


def test_nothing_compared_is_no_pass():
    assert not Climb("fp32", ["torch/ort"]).passed


def test_reports_are_the_same_again_and_hold_no_path(tmp_path):
    lower = {"encoded": np.ones((2, 2), np.float32)}
    found = Climb("fp32", ["torch/ort"], Comparison("torch/ort", _item(), TDT, True).run(lower, lower))
    value = report.document(found, {"model": "m", "rule": "tdt", "seed": 1, "made_with": {}, "reference_made_with": None})
    report.write_json(tmp_path / "report.json", value)
    first = (tmp_path / "report.json").read_bytes()
    back, _ = report.read(tmp_path / "report.json")
    assert report.sections(back) == report.sections(found)
    report.write_json(tmp_path / "report.json", value)
    assert (tmp_path / "report.json").read_bytes() == first
    assert str(tmp_path) not in first.decode()
