"""Bad input ends in one line on stderr, exit code 2, and nothing on disk."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import pytest
import torch
from bad_archives import members_of, refused, with_config, with_state, write_tar

from trt_asr_export import archive
from trt_asr_export.archive import CONFIG, WEIGHTS
from trt_asr_export.cli import main
from trt_asr_export.errors import ExportError


def test_compressed_and_prefixed_archives_are_read(archives, tmp_path, capsys):
    write_tar(tmp_path / "good.nemo", members_of(archives("tdt")), "w:gz")
    assert main([str(tmp_path / "good.nemo"), str(tmp_path / "out")]) == 0
    assert "tdt" in capsys.readouterr().out


def test_older_torch_files_and_half_weights_are_read(archives, parts, tmp_path):
    members, _, state = parts
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    sink = io.BytesIO()
    torch.save(halved, sink, _use_new_zipfile_serialization=False)
    write_tar(tmp_path / "old.nemo", members | {f"./{WEIGHTS}": sink.getvalue()})
    assert main([str(tmp_path / "old.nemo"), str(tmp_path / "out")]) == 0


def test_a_joint_with_dropout_has_another_index(archives, parts, tmp_path):
    """NeMo numbers the layers of its joint: activation, dropout if any, output."""
    members, _, state = parts
    for part in ("weight", "bias"):
        state[f"joint.joint_net.2.{part}"] = state.pop(f"joint.joint_net.1.{part}")
    write_tar(tmp_path / "good.nemo", with_state(members, state))
    assert main([str(tmp_path / "good.nemo"), str(tmp_path / "out")]) == 0
    assert main([str(archives("tdt")), str(tmp_path / "plain")]) == 0
    assert (tmp_path / "out" / "joint.onnx").read_bytes() == (tmp_path / "plain" / "joint.onnx").read_bytes()


def test_no_file(capsys, tmp_path):
    assert "which is no file" in refused(capsys, tmp_path, tmp_path / "none.nemo")


@pytest.mark.parametrize(
    "content", [b"", b"not a tar at all" * 100, b"PK\x03\x04" + bytes(600), b"\x1f\x8b\x08" + bytes(50)]
)
def test_no_tar(capsys, tmp_path, content):
    (tmp_path / "bad.nemo").write_bytes(content)
    line = refused(capsys, tmp_path, tmp_path / "bad.nemo")
    assert "tar" in line or "a member" in line


def test_cut_off(capsys, tmp_path, archives):
    (tmp_path / "bad.nemo").write_bytes(archives("tdt").read_bytes()[:200_000])
    refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS])
def test_member_missing(capsys, tmp_path, parts, missing):
    write_tar(tmp_path / "bad.nemo", {name: content for name, content in parts[0].items() if name != f"./{missing}"})
    assert f"a member {missing}" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_tokenizer_missing(capsys, tmp_path, parts):
    write_tar(
        tmp_path / "bad.nemo",
        {name: content for name, content in parts[0].items() if not name.endswith("tokenizer.model")},
    )
    assert "tokenizer.model_path" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_tokenizer_broken(capsys, tmp_path, parts):
    members = {name: b"junk" if name.endswith("tokenizer.model") else content for name, content in parts[0].items()}
    write_tar(tmp_path / "bad.nemo", members)
    assert "SentencePiece" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil"])
def test_path_traversal(capsys, tmp_path, parts, name):
    write_tar(tmp_path / "bad.nemo", {name: b"x"} | parts[0])
    assert "a plain relative name" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices(capsys, tmp_path, parts, kind):
    write_tar(tmp_path / "bad.nemo", parts[0])
    with tarfile.open(tmp_path / "bad.nemo", "a:") as tar:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    assert "a link or a device" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_huge_member(capsys, tmp_path):
    """The header alone claims 17 TB."""
    member = tarfile.TarInfo(WEIGHTS)
    member.size = 1 << 44
    (tmp_path / "bad.nemo").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert f"member {WEIGHTS}" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("save", [pickle.dumps, lambda value: _saved(value)])
def test_pickle_with_code(capsys, tmp_path, parts, save):
    trap = tmp_path / "trap"
    write_tar(tmp_path / "bad.nemo", parts[0] | {f"./{WEIGHTS}": save({"weight": Evil(str(trap))})})
    line = refused(capsys, tmp_path, tmp_path / "bad.nemo")
    assert "tensors alone" in line and "weights_only" not in line
    assert not trap.exists()


def _saved(value) -> bytes:
    sink = io.BytesIO()
    torch.save(value, sink)
    return sink.getvalue()


def test_tensor_missing(capsys, tmp_path, parts):
    members, _, state = parts
    del state["encoder.layers.1.conv.depthwise_conv.weight"]
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert "tensor encoder.layers.1.conv.depthwise_conv.weight" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_tensor_extra(capsys, tmp_path, parts):
    members, _, state = parts
    state["encoder.layers.0.adapter.weight"] = torch.zeros(2)
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert "encoder.layers.0.adapter.weight" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_tensor_of_another_shape(capsys, tmp_path, parts):
    members, _, state = parts
    state["joint.enc.weight"] = torch.zeros(3, 3)
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert "joint.enc.weight, received shape (3, 3)" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_huge_tensor(capsys, tmp_path, parts):
    """Four bytes on disk that claim to be 4 TB."""
    members, _, state = parts
    state["joint.enc.weight"] = torch.zeros(1).expand(1 << 40)
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert "tensor joint.enc.weight" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_tensor_that_is_not_finite(capsys, tmp_path, parts):
    members, _, state = parts
    state["joint.enc.bias"] = torch.full_like(state["joint.enc.bias"], float("nan"))
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert "finite values for tensor joint.enc.bias" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


def test_filter_bank_of_another_front_end(capsys, tmp_path, parts):
    members, _, state = parts
    state["preprocessor.featurizer.fb"] = state["preprocessor.featurizer.fb"] * 1.1
    write_tar(tmp_path / "bad.nemo", with_state(members, state))
    assert "preprocessor.featurizer.fb" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize("path, value", [
    ("target", "nemo.collections.asr.models.EncDecMultiTaskModel"),
    ("encoder._target_", "nemo.collections.asr.modules.SqueezeformerEncoder"),
    ("encoder.self_attention_model", "rel_pos_local_attn"),
    ("encoder.subsampling", "striding"),
    ("encoder.subsampling_factor", 16),
    ("encoder.conv_norm_type", "group_norm8"),
    ("encoder.att_context_size", [-2, 0]),
    ("encoder.conv_context_size", [3, 3]),
    ("encoder.d_model", "wide"),
    ("encoder.n_heads", 7),
    ("encoder.reduction", "striding"),
    ("preprocessor.window", "hamming"),
    ("preprocessor.normalize", "all_features"),
    ("preprocessor.mel_norm", "htk"),
    ("preprocessor.log_zero_guard_value", "eps"),
    ("preprocessor.n_fft", 400),
    ("decoder._target_", "nemo.collections.asr.modules.StatelessTransducerDecoder"),
    ("decoder.normalization_mode", "layer"),
    ("joint.jointnet.activation", "gelu"),
    ("joint.num_extra_outputs", 3),
    ("joint.num_classes", 99),
    ("tokenizer.type", "agg"),
    ("encoder", "none"),
])  # fmt: skip
def test_unknown_configurations_are_refused_by_name(capsys, tmp_path, parts, path, value):
    members, config, _ = parts
    *folders, key = path.split(".")
    at = config
    for folder in folders:
        at = at[folder]
    at[key] = value
    write_tar(tmp_path / "bad.nemo", with_config(members, config))
    named = "decoding.durations" if key == "num_extra_outputs" else path
    assert f"for {named}" in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize("text", [b"- a\n- b\n", b"{", b"\xff\xfe", b"a: !!python/object/apply:os.mkdir ['x']\n"])
def test_configuration_that_is_none(capsys, tmp_path, parts, text):
    write_tar(tmp_path / "bad.nemo", parts[0] | {f"./{CONFIG}": text})
    assert CONFIG in refused(capsys, tmp_path, tmp_path / "bad.nemo")


@pytest.mark.parametrize(
    "options, field", [(["--branch", "ctc"], "--branch"), (["--attention-context", "70,13"], "--attention-context")]
)
def test_options_that_the_model_has_not(capsys, tmp_path, archives, options, field):
    assert field in refused(capsys, tmp_path, archives("tdt"), *options)


def test_a_target_below_a_file(capsys, tmp_path, archives):
    (tmp_path / "file").write_text("x")
    assert main([str(archives("tdt")), str(tmp_path / "file" / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and (tmp_path / "file").read_text() == "x"


def test_a_target_that_is_there_is_kept(capsys, tmp_path, archives):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    assert main([str(archives("tdt")), str(tmp_path / "out")]) == 2
    assert "--force" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    (tmp_path / "out" / "contract.json").write_text("{}")
    assert main([str(archives("tdt")), str(tmp_path / "out"), "--force"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "mine" not in [path.name for path in (tmp_path / "out").iterdir()]


@pytest.mark.parametrize("line", ["zz: 2020-13-45", "zz: !!int x", "zz: !!bool x", "zz: !!timestamp x", 'zz: !!int ""', "zz: " + "9" * 5000,
                                  "a: &a\n  b: *a"])
def test_a_yaml_value_that_python_refuses_is_an_error(tmp_path, line):
    path = tmp_path / "model_config.yaml"
    path.write_text(f"target: x\n{line}\n")
    with pytest.raises(ExportError, match="model_config.yaml"):
        archive._read_config(path)


@pytest.mark.parametrize("content", [b"\x80\x02s.", b"\x80\x02}]K\x01s."])
def test_a_damaged_pickle_is_an_error(tmp_path, content):
    path = tmp_path / "model_weights.ckpt"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="model_weights.ckpt"):
        archive.load_tensors(path)


@pytest.mark.parametrize("change", [torch.Tensor.to_sparse, lambda value: value.to("meta")])
def test_a_tensor_that_is_not_dense_is_an_error(tmp_path, change):
    path = tmp_path / "model_weights.ckpt"
    torch.save({"encoder.x": change(torch.ones(2, 2))}, path)
    with pytest.raises(ExportError, match="encoder.x"):
        archive.load_tensors(path)


def test_force_replaces_model_folders_alone(archives, tmp_path, capsys):
    kept = tmp_path / "thesis.txt"
    kept.write_text("mine")
    assert main([str(archives("tdt")), str(tmp_path), "--force"]) == 2
    assert "contract.json" in capsys.readouterr().err
    inside = tmp_path / "model" / "m.nemo"
    inside.parent.mkdir()
    inside.write_bytes(Path(archives("tdt")).read_bytes())
    (inside.parent / "contract.json").write_text("{}")
    assert main([str(inside), str(inside.parent), "--force"]) == 2
    assert kept.read_text() == "mine" and inside.is_file()


def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path):
    path = tmp_path / "model_config.yaml"
    nested = [f"b{at}: &b{at} [{', '.join([f'*b{at - 1}'] * 10)}]" for at in range(1, 12)]
    path.write_text("\n".join(["b0: &b0 [1, 2]", *nested]))
    with pytest.raises(ExportError, match="by its aliases"):
        archive._read_config(path)
