"""Numbers that no model folder may hold are refused before a graph is written, and what is refused is what `contract check` refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from bad_archives import members_of, refused, with_config, with_state, write_tar

from trt_asr_export import archive, folder
from trt_asr_export.archive import WEIGHTS
from trt_asr_export.cli import main
from trt_asr_export.config import read_config
from trt_asr_export.contract_form import check_form
from trt_asr_export.errors import ExportError

ROOT = Path(__file__).resolve().parents[3]
COMMAND = ROOT / "dist" / "cli" / "main.js"


def changed(parts, path: str, value) -> dict[str, bytes]:
    """The members of a good archive with one value of its configuration changed."""
    members, config, _ = parts
    *folders, key = path.split(".")
    at = config
    for name in folders:
        at = at.setdefault(name, {})
    at[key] = value
    return with_config(members, config)


@pytest.mark.parametrize("path, value, named", [
    ("preprocessor.window_stride", 1.0, "preprocessor.window_stride"),
    ("preprocessor.lowfreq", 8000, "preprocessor.lowfreq"),
    ("preprocessor.lowfreq", False, "preprocessor.lowfreq"),
    ("preprocessor.highfreq", True, "preprocessor.highfreq"),
    ("preprocessor.frame_splicing", True, "preprocessor.frame_splicing"),
    ("preprocessor.n_fft", True, "preprocessor.n_fft"),
    ("preprocessor.log", 1, "preprocessor.log"),
    ("preprocessor.exact_pad", 0, "preprocessor.exact_pad"),
    ("preprocessor.n_window_size", True, "preprocessor.n_window_size"),
    ("encoder.att_context_size", [True, True], "encoder.att_context_size"),
    ("encoder.att_context_size", False, "encoder.att_context_size"),
    ("encoder.att_context_size", [[-1, -1], 5], "encoder.att_context_size"),
    ("encoder.att_context_size", [10**7, 3], "encoder.attention_context.0"),
    ("encoder.conv_context_size", [True, 7], "encoder.conv_context_size"),
    ("encoder.subsampling_factor", True, "encoder.subsampling_factor"),
    ("encoder.feat_in", True, "encoder.feat_in"),
    ("encoder.feat_out", 48, "encoder.feat_out"),
    ("decoder.prednet.rnn_hidden_size", True, "decoder.prednet.rnn_hidden_size"),
    ("joint.num_classes", True, "joint.num_classes"),
    ("decoding.durations", [1, 2, 3, 4, 5], "decoding.durations"),
    ("decoding.durations", [False, True, 2, 3, 4], "decoding.durations"),
    ("decoding.durations", [0, 2, 1, 3, 4], "decoding.durations"),
    ("decoding.durations", [0, 1, 1, 3, 4], "decoding.durations"),
    ("decoding.durations", [0, 1, 2, 3, 5000], "decode.durations.4"),
])  # fmt: skip
def test_numbers_that_no_folder_may_hold(capsys, tmp_path, parts, path, value, named):
    write_tar(tmp_path / "bad.nemo", changed(parts, path, value))
    assert f"for {named}" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize(
    "options, named",
    [(["--language", ""], "--language"), (["--license", ""], "--license"), (["--name", "x" * 129], "--name")],
)
def test_options_that_no_folder_may_hold(capsys, tmp_path, archives, options, named):
    line = refused(capsys, tmp_path, archives("tdt"), *options)
    assert f"for {named}, received" in line


@pytest.mark.parametrize("path, value", [
    ("preprocessor.n_fft", 512.0), ("preprocessor.frame_splicing", 1.0), ("encoder.subsampling_factor", 8.0),
    ("encoder.att_context_size", [-1.0, -1.0]), ("encoder.conv_context_size", [4.0, 4.0]), ("decoding.durations", [0.0, 1, 2, 3, 4]),
])  # fmt: skip
def test_integers_written_as_fractions_are_integers(parts, path, value):
    plain = read_config(parts[1])
    read = read_config(yaml.safe_load(changed(parts, path, value)["./model_config.yaml"]))
    for section in ("features", "encoder", "joint"):
        assert repr(getattr(read, section)) == repr(getattr(plain, section))


def test_a_causal_table_of_one_frame_is_refused(archives):
    config = yaml.safe_load(members_of(archives("cache_aware_ctc"))["./model_config.yaml"])
    config["encoder"]["pos_emb_max_len"] = 1
    with pytest.raises(ExportError, match="encoder.pos_emb_max_len"):
        read_config(config)


@pytest.mark.parametrize("change, named", [
    (lambda c: c["encoder"].update(layers=True), "encoder.layers"),
    (lambda c: c["encoder"].pop("heads"), "encoder"),
    (lambda c: c.update(more=1), "more"),
    (lambda c: c["encoder"]["inputs"][0]["shape"].__setitem__(0, 0.5), "encoder.inputs.0.shape.0"),
])  # fmt: skip
def test_the_form_of_a_contract(exported, change, named):
    contract = json.loads(json.dumps(exported("tdt").contract))
    check_form(contract)
    change(contract)
    with pytest.raises(ExportError, match=named):
        check_form(contract)


ADDONS = ("build/Release/*.node", "prebuilds/*/*.node")
BUILT = COMMAND.is_file() and shutil.which("node") and any(any(ROOT.glob(pattern)) for pattern in ADDONS)
KINDS = [("tdt", {}), ("tdt", {"fold_joint": True}), ("rnnt", {}), ("ctc", {"precision": "fp16"}), ("cache_aware_ctc", {})]


@pytest.mark.skipif(not BUILT, reason="needs node and `npm run build`")
@pytest.mark.parametrize("kind, options", KINDS)
def test_contract_check_agrees(exported, tmp_path, kind, options):
    """Form, relations, files, graphs and what their metadata carries; then with a number that only the metadata knows."""
    check = ["node", str(COMMAND), "contract", "check", "--json"]
    folder = exported(kind, **options)
    found = subprocess.run([*check, str(folder.path)], capture_output=True, text=True)
    assert json.loads(found.stdout)["findings"] == [] and found.returncode == 0
    shutil.copytree(folder.path, tmp_path / "edited")
    contract = json.loads(json.dumps(folder.contract))
    contract["encoder"]["frames_max"] += 1
    (tmp_path / "edited" / "contract.json").write_text(json.dumps(contract))
    found = subprocess.run([*check, str(tmp_path / "edited")], capture_output=True, text=True)
    fields = [finding["field"] for finding in json.loads(found.stdout)["findings"]]
    assert fields == [f"{contract['encoder']['file']}: metadata.encoder.frames_max"] and found.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(archives, tmp_path, number):
    command = [sys.executable, "-m", "trt_asr_export", str(archives("tdt")), str(tmp_path / "made" / "out")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(folder.__file__).parents[1])
    try:
        until = time.monotonic() + 120
        # The first graph is there: the exporter is in the midst of its work.
        while not list(tmp_path.glob("made/.out.*/encoder.onnx")):
            assert running.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        running.send_signal(number)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 128 + number and errors == b""
    assert list(tmp_path.iterdir()) == []


def test_signals_are_as_before_after_a_run(capsys, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    refused(capsys, tmp_path, tmp_path / "none.nemo")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_an_interrupted_replacement_puts_the_old_folder_back(tmp_path, monkeypatch):
    target, rename = tmp_path / "out", Path.rename
    target.mkdir()
    (target / "contract.json").write_text("old")

    def interrupted(self, to):
        if self.name.startswith(".out.") and to == target:
            raise SystemExit(143)
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(SystemExit), folder.appearing(target, True) as work:
        (work / "contract.json").write_text("new")
    assert os.listdir(tmp_path) == ["out"] and (target / "contract.json").read_text() == "old"


def saved(tmp_path, state) -> Path:
    path = tmp_path / WEIGHTS
    torch.save(state, path)
    return path


def test_a_tensor_that_stands_for_more_than_is_stored(tmp_path):
    with pytest.raises(ExportError, match="tensor encoder.x, received 8000000000 bytes"):
        archive.load_tensors(saved(tmp_path, {"encoder.x": torch.zeros(1).expand(2_000_000_000)}))


def test_tensors_that_share_their_bytes_are_bounded_together(tmp_path):
    shared = torch.zeros(100_000)
    assert len(archive.load_tensors(saved(tmp_path, {"a": shared, "b": shared[:50_000]}))) == 2
    with pytest.raises(ExportError, match="tensors of at most"):
        archive.load_tensors(saved(tmp_path, {f"layers.{at}": shared for at in range(100)}))


@pytest.mark.parametrize("key, shown", [(7, "7, of type int"), (("a", "b"), r"\('a', 'b'\), of type tuple")])
def test_a_key_that_is_no_name(tmp_path, key, shown):
    with pytest.raises(ExportError, match=f"expected a tensor's name for a key of {WEIGHTS}, received {shown}"):
        archive.load_tensors(saved(tmp_path, {key: torch.zeros(2)}))


def test_other_members_stay_on_disk_and_are_bounded_when_read(capsys, tmp_path, parts, monkeypatch):
    members = parts[0]
    write_tar(tmp_path / "good.nemo", members | {"./vocabulary.bin": bytes(1 << 20)})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with archive.opened(tmp_path / "good.nemo", scratch) as opened:
        assert all(isinstance(file, Path) and file.parent == scratch for file in opened.files.values())
    shutil.rmtree(scratch)
    monkeypatch.setattr(archive, "READ_BYTES_MAX", 100)
    assert "for tokenizer.model_path" in refused(capsys, tmp_path, tmp_path / "good.nemo")


def test_a_negative_variance(capsys, tmp_path, parts):
    members, _, state = parts
    name = "encoder.layers.1.conv.batch_norm.running_var"
    state[name][3] = -0.5
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert f"for tensor {name}, received -0.5" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize(
    "tensors, graph", [("encoder.layers.1.conv.pointwise", "encoder"), ("decoder.", "predictor"), ("joint.", "joint")]
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_weights_that_lead_out_of_f32_are_the_checkpoints_fault(capsys, tmp_path, parts, tensors, graph, precision):
    members, _, state = parts
    state |= {name: tensor.sign() * 3e38 for name, tensor in state.items() if name.startswith(tensors)}
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    line = refused(capsys, tmp_path, tmp_path / "bad.nemo", "--precision", precision)
    assert f"for the checkpoint's {graph}, received" in line and "error of the exporter" not in line


def test_a_context_that_begins_with_a_minus(archives, tmp_path, capsys):
    assert main([str(archives("tdt")), str(tmp_path / "out"), "--attention-context=-1,-1"]) == 0
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert left.value.code == 0 and "theform--attention-context=-1,-1" in shown
