"""Every kind of checkpoint exports, runs, and gives each row of a ragged batch what it gets alone."""

import json

import numpy as np
import pytest
from conftest import ragged

CASES = [
    ("tdt", {}, {}),
    ("tdt", {}, {"fold_joint": True}),
    ("rnnt", {"xscaling": True, "use_bias": True}, {}),
    ("ctc", {}, {}),
    ("hybrid_tdt", {}, {}),
    ("hybrid_tdt", {}, {"branch": "ctc"}),
    ("hybrid_rnnt", {"att_context_size": [12, 3]}, {}),
    ("hybrid_rnnt", {"subsampling_factor": 4}, {"branch": "ctc"}),
    ("cache_aware_ctc", {}, {}),
    ("cache_aware_rnnt", {"att_context_size": [70, 0]}, {}),
    ("cache_aware_hybrid", {"att_context_style": "regular", "att_context_size": [20, 0]}, {}),
    ("cache_aware_hybrid", {}, {"branch": "ctc", "attention_context": (70, 1)}),
]
STREAMING_ONLY = [
    ("cache_aware_ctc", {}, {"streaming_only": True}),
    ("cache_aware_rnnt", {}, {"streaming_only": True, "fold_joint": True}),
]
RULES = {"tdt": "tdt", "rnnt": "rnnt", "ctc": "ctc", "hybrid": "rnnt"}


def at_path(contract: dict, path: str):
    for key in path.split("."):
        contract = contract[key]
    return contract


@pytest.mark.parametrize("kind, changes, options", CASES + STREAMING_ONLY)
def test_contract_describes_the_graphs(exported, kind, changes, options):
    folder = exported(kind, changes, **options)
    contract = folder.contract
    # The graph that the encoder's numbers travel with.
    encoder_part = "streaming" if options.get("streaming_only") else "encoder"
    rule = "ctc" if options.get("branch") == "ctc" else RULES[kind.rsplit("_", 1)[-1]]
    assert contract["decode"]["rule"] == rule
    assert set(contract["files"]) == {path.name for path in folder.path.iterdir()} - {
        "contract.json",
        "model_meta.json",
    }
    for part in ("encoder", "predictor", "joint", "streaming"):
        if "file" not in contract.get(part, {}):
            continue
        session = folder.session(part)
        for kind_of, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            ports = contract[part][kind_of]
            assert [(port["name"], port["shape"]) for port in ports] == [(value.name, value.shape) for value in values]
        carried = {key.removeprefix("trt_asr."): text for key, text in session.get_modelmeta().custom_metadata_map.items()}
        assert carried.pop("trt_asr_graph") == part
        assert carried == {path: json.dumps(at_path(contract, path)) for path in carried}
        own = {f"{part}.{key}" for key in contract[part]} - {f"{part}.{key}" for key in ("file", "inputs", "outputs")}
        assert {".".join(path.split(".")[:2]) for path in carried if path.startswith(part)} == own
        assert "precision" in carried and ("features.normalization" in carried) == (part in ("encoder", "streaming"))
        assert ("decode.blank_id" in carried) == (part == (encoder_part if rule == "ctc" else "joint"))
        assert ("encoder.frames_max" in carried) == (part == encoder_part)
    lines = (folder.path / contract["tokenizer"]["file"]).read_text(encoding="utf-8").splitlines()
    assert (
        lines[-1] == f"<blk> {contract['decode']['blank_id']}" and len(lines) == contract["tokenizer"]["vocabulary"] + 1
    )


@pytest.mark.parametrize("kind, changes, options", CASES)
def test_a_ragged_batch_equals_its_rows(exported, kind, changes, options):
    folder = exported(kind, changes, **options)
    lengths = [200, 73, 1, 137, 10]
    features, lengths_B = ragged(folder.contract["features"]["mel_bins"], lengths)
    encoded, encoded_lengths = folder.run("encoder", features, lengths_B)
    factor = folder.contract["encoder"]["subsampling"]
    causal = kind.startswith("cache_aware")
    added = 2 * factor - 2 if causal else factor - 1
    assert list(encoded_lengths) == [(length + added) // factor for length in lengths]
    for row, length in enumerate(lengths):
        alone, alone_lengths = folder.run("encoder", features[row : row + 1, :, :length], lengths_B[row : row + 1])
        count = encoded_lengths[row]
        assert alone_lengths[0] == count
        np.testing.assert_allclose(encoded[row, :count], alone[0, :count], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind, frames", [("tdt", 3200), ("cache_aware_ctc", 3193)])
def test_the_longest_input_is_whole(exported, kind, frames):
    """The position table's last rows are reached: the first and last frames are what a graph with a longer table gives."""
    folder, longer = exported(kind), exported(kind, {"pos_emb_max_len": 500})
    assert folder.contract["tensorrt"]["profiles"]["encoder"]["frames"]["max"] == min(3000, frames)
    features, lengths = ragged(folder.contract["features"]["mel_bins"], [frames])
    features = features[:, :, :frames]
    found, expected = folder.run("encoder", features, lengths), longer.run("encoder", features, lengths)
    assert found[1][0] == 400
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-4)


def test_no_frames_give_no_frames(exported):
    folder = exported("tdt")
    features, lengths_B = ragged(128, [40, 0])
    _, encoded_lengths = folder.run("encoder", features, lengths_B)
    assert list(encoded_lengths) == [5, 0]


def test_the_folded_joint_gives_the_same_logits(exported):
    plain, folded = exported("tdt"), exported("tdt", fold_joint=True)
    assert (
        folded.contract["encoder"]["projected"]
        and folded.contract["encoder"]["output_width"] == folded.contract["joint"]["width"]
    )
    features, lengths = ragged(128, [160])
    predicted = np.random.default_rng(2).normal(size=(1, 1, plain.contract["predictor"]["width"])).astype(np.float32)
    one, other = plain.run("encoder", features, lengths)[0], folded.run("encoder", features, lengths)[0]
    for frame in range(20):
        logits = plain.run("joint", one[:, frame : frame + 1], predicted)[0]
        np.testing.assert_allclose(
            folded.run("joint", other[:, frame : frame + 1], predicted)[0], logits, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("precision, tolerance", [("fp16", 0.02), ("int8", 0.06)])
@pytest.mark.parametrize("kind", ["tdt", "cache_aware_ctc"])
def test_precisions_stay_near(exported, kind, precision, tolerance):
    """Random weights are less kind to rounding than trained ones: this finds wrong graphs, it does not judge a precision."""
    exact, rounded = exported(kind), exported(kind, precision=precision)
    features, lengths = ragged(exact.contract["features"]["mel_bins"], [180, 90])
    one, other = exact.run("encoder", features, lengths), rounded.run("encoder", features, lengths)
    assert rounded.contract["precision"] == precision and list(one[1]) == list(other[1])
    for row, length in enumerate(one[1]):
        apart = np.sqrt(np.mean((one[0][row, :length] - other[0][row, :length]) ** 2))
        assert apart <= tolerance * np.std(one[0][row, :length])


def test_fp16_is_written_down(exported):
    import onnx

    folder = exported("tdt", precision="fp16")
    model = onnx.load(folder.path / "encoder.onnx")
    kinds = {
        tensor.data_type for tensor in model.graph.initializer if not tensor.name.endswith(("norm.weight", "norm.bias"))
    }
    assert kinds == {onnx.TensorProto.FLOAT16}
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def test_int8_keeps_no_float_weight_of_a_matmul(exported):
    import onnx

    model = onnx.load(exported("tdt", precision="int8").path / "encoder.onnx")
    floats = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert not [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in floats]
    assert any(node.op_type == "MatMulInteger" for node in model.graph.node)


@pytest.mark.parametrize(
    "kind, options", [("tdt", {}), ("hybrid_tdt", {"precision": "fp16"}), ("cache_aware_ctc", {"precision": "int8"})]
)
def test_two_exports_are_the_same_bytes(exported, archives, tmp_path, kind, options):
    from trt_asr_export import ExportOptions, export_model

    first = exported(kind, **options)
    export_model(archives(kind), tmp_path / "again", ExportOptions(**options))
    names = sorted(path.name for path in first.path.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (first.path / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_large_graphs_keep_their_weights_in_one_file_beside(archives, tmp_path, monkeypatch, exported):
    from conftest import Folder

    from trt_asr_export import ExportOptions, export_model, onnx_graph

    monkeypatch.setattr(onnx_graph, "INLINE_BYTES_MAX", 100_000)
    export_model(archives("tdt"), tmp_path / "split", ExportOptions())
    split = Folder(tmp_path / "split")
    assert "encoder.onnx.data" in split.contract["files"] and "joint.onnx.data" not in split.contract["files"]
    features, lengths = ragged(128, [64])
    np.testing.assert_array_equal(
        split.run("encoder", features, lengths)[0], exported("tdt").run("encoder", features, lengths)[0]
    )
