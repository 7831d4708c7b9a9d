"""`ci` itself: what it counts as noticed, and that it always gets to its closing line."""

from dataclasses import replace

from trt_asr_parity import ci, damage
from trt_asr_parity.damage import Damage


def test_a_stage_with_nothing_to_compare_notices_nothing(bench):
    harm = replace(damage.TDT[0], stage="no such stage")
    assert bench("tdt").notices(harm) == "nothing was compared at no such stage"


def test_a_harm_that_changes_nothing_is_not_noticed(bench):
    assert bench("tdt").notices(Damage("none", "predictor", lambda folder: None)) == "the ladder passed it"


def test_any_error_is_a_failed_check_and_the_closing_line_comes(capsys):
    tally = ci.Tally()

    def breaks():
        raise KeyError("streaming")

    assert not tally.check("one", breaks)
    assert tally.check("two", lambda: "")
    assert not tally.close()
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("FAIL one") and out[0].endswith("KeyError: 'streaming'")
    assert out[-1] == "1 passed, 1 failed"


def test_an_archive_that_cannot_be_made_is_a_failed_check(monkeypatch, capsys):
    def breaks(*_):
        raise OSError("no room")

    monkeypatch.setattr("trt_asr_parity.variants.write_random_archive", breaks)
    assert not ci.run_all(["ctc"])
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"
