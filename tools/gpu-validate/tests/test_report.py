"""What of the validation needs no GPU: which steps run, which are kept, what the report says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_validate import __main__ as command
from gpu_validate import machine, models, native, report, steps, with_torch

TOOL = Path(__file__).resolve().parents[1]


def passing(seconds: float = 1.0, **figures) -> dict:
    return report.step("pass", "", figures, seconds)


@pytest.fixture
def context(tmp_path):
    (tmp_path / "steps").mkdir()
    return steps.Context(tmp_path, tmp_path / "executable", None, [""], 10)


def counting(name: str, result: dict, tensorrt: bool = False) -> tuple[steps.Step, list[str]]:
    """A step and the list that grows with each of its runs."""
    runs: list[str] = []

    def run(_context):
        runs.append(name)
        return dict(result)

    return steps.Step(name, run, tensorrt), runs


def test_a_failed_step_fails_the_whole_and_a_skipped_one_does_not():
    good, bad, skipped = passing(), report.step("fail", "wrong"), report.step("skipped", "no torch")
    assert report.verdict({"a": good, "b": skipped}) == "pass"
    assert report.verdict({"a": good, "b": bad, "c": skipped}) == "fail"
    assert report.verdict({"c": skipped}) == "skipped"
    assert report.verdict({}) == "skipped"
    with pytest.raises(ValueError, match="no status"):
        report.step("good")


def test_steps_gather_into_parts_in_their_order():
    parts = report.parts({"probe": passing(), "decode.a.fp32": passing(), "decode.a.fp16": report.step("fail", "differs")})
    assert list(parts) == ["probe", "decode"]
    assert parts["decode"]["status"] == "fail"
    assert parts["decode"]["reason"] == "decode.a.fp16: differs"


def test_parts_are_chosen_by_name_and_run_in_their_own_order():
    assert {step.part for step in steps.chosen(None)} == set(steps.PARTS)
    assert [step.part for step in steps.chosen(["torch", "probe"])] == ["probe", "torch"]
    with pytest.raises(ValueError, match="no part wrong; there are probe"):
        steps.chosen(["probe", "wrong"])


def test_steps_are_chosen_by_the_beginning_of_their_names():
    assert [step.name for step in steps.chosen(["throughput.full"])] == ["throughput.full-paced.fp16", "throughput.full.fp16"]
    assert [step.name for step in steps.chosen(["live.demo-en.fp16", "probe"])] == ["probe", "live.demo-en.fp16"]
    with pytest.raises(ValueError, match="no part throughput.fu"):
        steps.chosen(["throughput.fu"])
    assert len({step.name for step in steps.STEPS}) == len(steps.STEPS)


def test_results_are_kept_and_made_anew_when_asked(context, monkeypatch):
    step, runs = counting("kernels", passing(value=1))
    monkeypatch.setattr(steps, "STEPS", (step,))
    assert command.run_steps([step], context, False, None)["kernels"]["status"] == "pass"
    assert command.run_steps([step], context, False, None)["kernels"]["figures"] == {"value": 1}
    assert len(runs) == 1
    command.run_steps([step], context, True, None)
    assert len(runs) == 2


@pytest.mark.parametrize(("status", "runs_twice"), [("pass", False), ("fail", False), ("skipped", True)])
def test_what_was_skipped_is_tried_anew(context, monkeypatch, status, runs_twice):
    step, runs = counting("kernels", report.step(status, "because"))
    monkeypatch.setattr(steps, "STEPS", (step,))
    for _ in range(2):
        command.run_steps([step], context, False, None)
    assert len(runs) == (2 if runs_twice else 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "perhaps"}'])
def test_a_damaged_result_is_made_anew(context, monkeypatch, text):
    step, runs = counting("kernels", passing())
    monkeypatch.setattr(steps, "STEPS", (step,))
    (context.out / "steps" / "kernels.json").write_text(text, encoding="utf-8")
    command.run_steps([step], context, False, None)
    assert len(runs) == 1


def test_results_of_other_parts_stay_in_the_report(context, monkeypatch):
    first, first_runs = counting("kernels", passing())
    second, second_runs = counting("torch.full", passing())
    monkeypatch.setattr(steps, "STEPS", (first, second))
    command.run_steps([first], context, False, None)
    assert list(command.run_steps([second], context, False, None)) == ["kernels", "torch.full"]
    assert (len(first_runs), len(second_runs)) == (1, 1)


def test_a_step_that_breaks_fails_and_the_next_one_runs(context, monkeypatch):
    def breaks(_context):
        raise RuntimeError("out of paper")

    second, runs = counting("torch.full", passing())
    monkeypatch.setattr(steps, "STEPS", (steps.Step("kernels", breaks, False), second))
    results = command.run_steps(list(steps.STEPS), context, False, None)
    assert results["kernels"]["status"] == "fail" and "out of paper" in results["kernels"]["reason"]
    assert len(runs) == 1


def test_no_step_begins_beyond_the_budget(context, monkeypatch):
    step, runs = counting("kernels", passing())
    monkeypatch.setattr(steps, "STEPS", (step,))
    results = command.run_steps([step], context, False, -1.0)
    assert results["kernels"]["status"] == "skipped" and "budget" in results["kernels"]["reason"]
    assert runs == []


def test_a_step_that_the_budget_cuts_short_is_tried_anew(context, monkeypatch):
    limits: list[float] = []

    def runs_out_of_time(one):
        limits.append(one.limit_s)
        return report.step("fail", f"{native.TOO_LONG} {one.limit_s:.0f} s")

    step = steps.Step("kernels", runs_out_of_time, False)
    monkeypatch.setattr(steps, "STEPS", (step,))
    cut = command.run_steps([step], context, False, 5.0)["kernels"]
    assert cut["status"] == "skipped" and "budget ended" in cut["reason"]
    slow = command.run_steps([step], context, False, 50.0)["kernels"]
    assert slow["status"] == "fail" and slow["reason"].startswith(native.TOO_LONG)
    assert limits[0] < 5.01 and limits[1] == context.limit_s == 10


def test_the_report_is_there_after_every_step(context, monkeypatch):
    first, _ = counting("kernels", passing())
    second, _ = counting("torch.full", passing())
    monkeypatch.setattr(steps, "STEPS", (first, second))
    told: list[list[str]] = []
    command.run_steps([first, second], context, False, None, lambda known: told.append(list(known)))
    assert told == [["kernels"], ["kernels", "torch.full"]]


def test_the_probe_runs_first_and_tells_which_tensorrt_is_used(context, monkeypatch):
    idle, good = {"tensorrt": "TensorRT 11"}, {"tensorrt": "TensorRT-RTX 1", "runs": True}
    places = [{"folder": "/a", "figures": idle}, {"folder": "/b", "figures": good}]
    probe, probes = counting("probe", passing(places=places))
    needs, runs = counting("decode.x", passing(), tensorrt=True)
    monkeypatch.setattr(steps, "STEPS", (probe, needs))
    command.run_steps([needs], context, False, None)
    assert (len(probes), len(runs), context.tensorrt) == (1, 1, "/b")


def test_a_folder_without_tensorrt_is_told(context):
    context.folders = machine.tensorrt_folders(context.out)
    assert context.folders == [] and "libtensorrt_rtx.so.1" in steps.STEPS[0].run(context)["reason"]


@pytest.mark.parametrize(("flavour", "runs_as", "asked"), [("rtx", "80", 3), ("rtx", "", 1), ("11", "80", 1), ("rtx", "never", 5)])
def test_a_gpu_that_tensorrt_rtx_refuses_is_taken_for_others(context, flavour, runs_as, asked):
    text = """
    runs=false; status=fail
    if grep -q '^targets RUNS_AS$' "$2" || { test -z 'RUNS_AS' && ! grep -q '^targets' "$2"; }; then runs=true; status=pass; fi
    echo '{"status":"'$status'","reason":"refused","figures":{"tensorrt":"T","flavour":"FLAVOUR","runs":'$runs'}}' > "$3"
    """
    script(context.executable, text.replace("RUNS_AS", runs_as).replace("FLAVOUR", flavour))
    context.folders = ["/somewhere"]
    told = steps.STEPS[0].run(context)
    assert len(told["figures"]["places"]) == asked
    context.known["probe"] = told
    context.settle()
    works = asked in (1, 3) and flavour == "rtx"
    assert told["status"] == ("pass" if works else "fail")
    assert context.tensorrt == ("/somewhere" if works else None)
    assert context.base()["targets"] == (runs_as if works else "")


def test_without_a_tensorrt_that_runs_the_rest_is_skipped_and_says_why(context, monkeypatch):
    probe, _ = counting("probe", report.step("fail", "no kernel image", {"places": [{"folder": "", "figures": {"runs": False}}]}))
    needs, runs = counting("decode.x", passing(), tensorrt=True)
    monkeypatch.setattr(steps, "STEPS", (probe, needs))
    results = command.run_steps([needs], context, False, None)
    assert runs == []
    assert results["decode.x"]["status"] == "skipped" and "no kernel image" in results["decode.x"]["reason"]


def test_a_model_that_is_not_there_is_told(context):
    context.tensorrt = ""
    step = steps.Step("engines.full.fp16", lambda _context: passing(), model="full")
    assert "run the part model first" in step.missing(context)
    (context.out / "models" / "full").mkdir(parents=True)
    (context.out / "models" / "full" / "contract.json").write_text("{}", encoding="utf-8")
    assert step.missing(context) == ""


def test_the_report_is_json_with_a_table_that_holds_a_line_for_each_step(tmp_path):
    batch = {"batch": 8, "rtfx": 12345.6, "decode_share": 0.12, "tokens_per_s": 3.5, "counts": {"device_claims_per_chunk": 0.0}}
    results = {
        "kernels": report.step("fail", "ctc in round 3:\na | b", {"ctc": {"cases": 10, "failed": 1}, "comparisons": 10}),
        "throughput.full.fp16": passing(batches=[batch]),
        "torch.full": report.step("skipped", "no torch in this Python"),
    }
    document = report.write(tmp_path, {"gpu": "NVIDIA H200, 580", "system": "Linux", "commit": None}, results)
    assert json.loads((tmp_path / "gpu-validate.json").read_text(encoding="utf-8")) == document
    assert document["status"] == "fail" and not document["stand_ins"]
    table = (tmp_path / "gpu-validate.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ") and "status" not in line]
    assert len(rows) == 3 and all(line.count("|") == 5 for line in rows)
    assert "B8 12,346x, decode 12%, 3.5 tokens/s" in table
    assert "B8 kernels 12,346x" in report.summary("throughput.a", passing(batches=[batch | {"search": "kernels"}], model="a"))
    assert "no torch in this Python" in table


def test_the_table_tells_live_sessions_recordings_and_chunks():
    load = {"sessions": 64, "lanes": 2, "batch_max": 8}
    live = {name: 1.5 for name in ("window_p50_ms", "window_p95_ms", "end_p50_ms", "end_p95_ms")}
    assert "64 sessions on 2 x B8 window p50 1.5 ms" in report.summary("live.demo-en.fp16", passing(loads=[load | live]))
    rates = {"rtfx": 1234.5, "decode_share": 0.25, "counts": {}}
    assert "2 x B8 1,234x, decode 25%" in report.summary("recordings.demo-en.fp16", passing(loads=[load | rates]))
    run = {"batch_max": 8, "chunks": 300, "chunks_same": 299, "token_edit_rate": 0.001}
    assert report.summary("bridge.streaming", passing(runs=[run])) == "B8 299/300 chunks, edit rate 0.001"
    assert report.summary("bridge.decode", passing(calls=7, rows_different=0, token_edit_rate=0.0)).startswith("7 chunks")


def test_stand_ins_are_told_as_what_they_are(tmp_path):
    document = report.write(tmp_path, {"gpu": None, "system": "Linux"}, {"kernels": passing(gpu="Stand-in GPU 0")})
    assert document["stand_ins"]
    assert "stand-ins" in (tmp_path / "gpu-validate.md").read_text(encoding="utf-8")


def test_numbers_that_are_none_never_reach_the_report(tmp_path):
    with pytest.raises(ValueError):
        report.write(tmp_path, {}, {"kernels": passing(value=float("nan"))})


def test_a_contract_becomes_keys_and_values():
    lines = native.model_lines(steps.DEMO, "demo-en")
    assert lines["decode.durations"] == "0 1 2 3 4"
    assert lines["encoder.causal_subsampling"] == "0"
    assert lines["features.normalization"] == "per_feature"
    assert float(lines["features.log_guard"]) == 2.0**-24
    assert Path(lines["model.joint"]).is_file()


def test_a_contract_with_a_streaming_encoder_alone_becomes_keys_and_values():
    lines = native.model_lines(steps.STREAMING, "demo-en-streaming")
    assert lines["streaming.chunk_frames.first"] == "49" and lines["streaming.chunk_frames.next"] == "56"
    assert lines["streaming.cache_channel_frames"] == "70" and lines["encoder.width"] == "128"
    assert Path(lines["model.streaming"]).is_file() and "model.encoder" not in lines


def test_the_bridge_runs_our_kernels_with_another_tensorrt(context):
    asked = steps.chosen(["bridge.decode"])[0]
    assert not asked.tensorrt and asked.run(context)["status"] == "skipped"
    (context.out / "bridge").mkdir()
    assert "nvcc" in asked.run(context)["reason"]
    (context.out / "libtrt_asr_cuda.so").touch()
    text = """test "$1" = decode && test -f "$TRT_ASR_BRIDGED" && echo '{"status":"pass","reason":"","figures":{"calls":1}}' > "$3\""""
    script(context.executable, text)
    assert asked.run(context)["figures"] == {"calls": 1}
    job = (context.out / "steps" / "bridge.decode.job").read_text(encoding="utf-8")
    assert f"tensorrt {context.out / 'bridge'}\n" in job and f"cache {context.out / 'bridge-plans'}\n" in job


def test_the_sanitizer_runs_the_kernels_and_what_it_says_is_kept(context, monkeypatch):
    monkeypatch.setattr(machine, "compute_sanitizer", lambda: None)
    assert steps.sanitized("racecheck")(context)["status"] == "skipped"
    script(context.executable, """echo '{"status":"pass","reason":"","figures":{}}' > "$3\"""")
    asked = """echo "$@" > {0}; shift 6; "$@"; echo '========= ERROR SUMMARY: 1 error'; exit 99""".format(context.out / "asked")
    sanitizer = script(context.out / "sanitizer", asked)
    monkeypatch.setattr(machine, "compute_sanitizer", lambda: str(sanitizer))
    told = steps.sanitized("racecheck")(context)
    assert told["status"] == "fail" and told["figures"]["said"] == ["========= ERROR SUMMARY: 1 error"]
    assert report.summary("sanitizer.racecheck", told).startswith("ERROR SUMMARY: 1 error")
    assert "--tool racecheck" in (context.out / "asked").read_text(encoding="utf-8")


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_native_part_that_crashes_hangs_or_is_not_there_fails(tmp_path):
    target = tmp_path / "kernels"
    crashed = native.run(script(tmp_path / "crash", "echo illegal memory access; exit 139"), "kernels", {}, target, 10)
    assert crashed["status"] == "fail" and "139" in crashed["reason"] and "illegal memory access" in crashed["reason"]
    hung = native.run(script(tmp_path / "hang", "exec sleep 60"), "kernels", {}, target, 0.2)
    assert hung["status"] == "fail" and "longer than" in hung["reason"]
    assert native.run(tmp_path / "none", "kernels", {}, target, 10)["status"] == "fail"
    aborting = script(tmp_path / "late", """echo '{"status":"pass","reason":"","figures":{}}' > "$3"; exit 134""")
    late = native.run(aborting, "kernels", {}, target, 10)
    assert late["status"] == "fail" and "after its figures" in late["reason"]


def test_a_native_part_is_given_its_job_and_its_figures_come_back(tmp_path):
    good = script(tmp_path / "good", """grep -q '^rounds 3$' "$2" && echo '{"status":"pass","reason":"","figures":{"x":1}}' > "$3\"""")
    told = native.run(good, "decode.x.fp32", {"rounds": 3, "tensorrt": ""}, tmp_path / "decode.x.fp32", 10)
    assert told["figures"] == {"x": 1}
    assert (tmp_path / "decode.x.fp32.job").read_text(encoding="utf-8") == "rounds 3\n"


def test_tensorrt_is_found_in_unpacked_wheels(tmp_path):
    assert machine.tensorrt_folders(tmp_path) == []
    (tmp_path / "tensorrt_rtx_libs").mkdir()
    (tmp_path / "tensorrt_rtx_libs" / "libtensorrt_rtx.so.1").touch()
    assert machine.tensorrt_folders(tmp_path) == [str(tmp_path.resolve() / "tensorrt_rtx_libs")]
    assert machine.tensorrt_folders(None)[0] == ""


def test_the_shift_of_the_blank_is_found():
    shift = with_torch.find_shift(lambda shift: 10.0 - shift, models.TOKENS_PER_S)
    assert shift == pytest.approx(6.5, abs=0.07)
    # Also where tokens first get more.
    assert with_torch.find_shift(lambda shift: 5.0 + shift if shift < 2 else 9.0 - shift, 4.0) in (-1.0, 5.0)


def test_on_a_machine_without_a_gpu_the_command_says_so_in_one_line(tmp_path):
    if machine.gpu_count()[0] > 0:
        pytest.skip("there is a GPU")
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    command_line = [str(TOOL / "run.sh"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("gpu-validate: no GPU, nothing was run: ") and done.stderr.count("\n") == 1
    document = json.loads((tmp_path / "out" / "gpu-validate.json").read_text(encoding="utf-8"))
    assert document["status"] == "no-gpu" and document["reason"] and document["parts"] == {}


def test_a_part_that_is_none_is_refused(tmp_path, capsys):
    assert command.main(["--out", str(tmp_path), "--parts", "kernels,wrong"]) == 2
    assert "no part wrong" in capsys.readouterr().err
