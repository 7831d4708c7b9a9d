"""The steps of `full-size`: which are done, which are skipped, and what each of them makes obsolete. No step is run here."""

import json

import pytest
from trt_asr_parity import full_size
from trt_asr_parity.full_size import FullSize
from trt_asr_parity.machine import Step


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A FullSize whose steps are written down in `done` in place of being run."""
    done = []

    def run_step(name, arguments, shown, environment):
        done.append(name)
        return Step(name, shown, 1.0, len(done))

    monkeypatch.setattr(full_size, "run_step", run_step)

    def of(seed=42, size="full"):
        done.clear()
        return FullSize(tmp_path, seed, size), done

    return of


def reference(folder):
    (folder / "reference").mkdir(exist_ok=True)
    (folder / "reference" / "reference.jsonl").write_text(json.dumps({"format": "trt-asr-parity/2"}) + "\n", encoding="utf-8")


def all_steps(one, folder):
    one.write_archive()
    one.export("fp32", folder / "fp32", "export fp32")
    one.ask_nemo(folder / "fp32")
    one.climb("fp32")


ALL = ["archive", "export fp32", "NeMo's reference", "ladder fp32"]


def test_steps_with_the_same_commands_are_done_once(work, tmp_path):
    reference(tmp_path)
    one, done = work()
    all_steps(one, tmp_path)
    assert done == ALL
    again, done = work()
    all_steps(again, tmp_path)
    assert done == []


def test_another_seed_does_everything_again(work, tmp_path):
    reference(tmp_path)
    all_steps(work()[0], tmp_path)
    other, done = work(seed=43)
    all_steps(other, tmp_path)
    assert done == ALL


def test_another_size_does_the_reference_and_what_came_after_again(work, tmp_path):
    reference(tmp_path)
    all_steps(work()[0], tmp_path)
    other, done = work(size="long")
    all_steps(other, tmp_path)
    assert done == ALL[2:]
    assert [step["command"] for step in json.loads((tmp_path / "steps.json").read_text(encoding="utf-8")).values()][2].count("long") == 1


def test_a_reference_of_an_old_form_is_made_again(work, tmp_path):
    reference(tmp_path)
    all_steps(work()[0], tmp_path)
    (tmp_path / "reference" / "reference.jsonl").write_text('{"format": "trt-asr-parity/1"}\n', encoding="utf-8")
    other, done = work()
    all_steps(other, tmp_path)
    assert done == ALL[2:]


def test_facts_of_an_export_belong_to_the_step_that_made_it(work, tmp_path, monkeypatch):
    (tmp_path / "fp32").mkdir()
    (tmp_path / "again").mkdir()
    monkeypatch.setattr(full_size.graph_facts, "folder", lambda path: {"files": {"a": 1}})
    monkeypatch.setattr(full_size.shutil, "rmtree", lambda path: None)
    one, done = work()
    assert one.export_twice("fp32")["same_bytes_again"]
    assert done == ["export fp32", "export fp32 again"]
    same, done = work()
    same.export_twice("fp32")
    assert done == []
    # The facts of an export that was made again are not those of the one before.
    noted = json.loads((tmp_path / "fp32.json").read_text(encoding="utf-8"))
    noted["step"]["command"] = "another"
    (tmp_path / "fp32.json").write_text(json.dumps(noted), encoding="utf-8")
    other, done = work()
    other.export_twice("fp32")
    assert done == ["export fp32 again"]
