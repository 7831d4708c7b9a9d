"""A reference and an export that do not belong together are refused, whichever of the two has less."""

import json
import shutil

import pytest
from trt_asr_parity import run, store, ties
from trt_asr_parity.errors import ParityError
from trt_asr_parity.sides.ort_side import load_contract
from trt_asr_parity.variants import Variant


def copy_with(bench, tmp_path, change):
    """A copy of the committed reference whose head is changed."""
    folder = tmp_path / "reference"
    shutil.copytree(bench.reference, folder)
    head, *rest = (folder / "reference.jsonl").read_text(encoding="utf-8").splitlines()
    value = json.loads(head)
    change(value)
    (folder / "reference.jsonl").write_text("\n".join([json.dumps(value), *rest]) + "\n", encoding="utf-8")
    return folder


def climb(bench, export=None, archive=None, reference=None):
    return run.climb(run.Question(export or bench.export, archive, reference or bench.reference, 42, bench.variant.size, 1, ("predictor",)))


def test_an_export_with_streaming_needs_a_reference_with_streaming(bench, tmp_path):
    tdt = bench("tdt")
    reference = copy_with(tdt, tmp_path, lambda head: head["asked"].update(streaming=None))
    with pytest.raises(ParityError, match="reference.streaming: expected none in the export, as in the reference, received a streaming graph"):
        climb(tdt, archive=tdt.archive, reference=reference)


def test_a_reference_with_streaming_needs_an_export_with_streaming(bench, tmp_path):
    tdt = bench("tdt")
    Variant("plain", "tdt").export(tdt.archive, tmp_path / "plain")
    assert "streaming" not in load_contract(tmp_path / "plain")
    with pytest.raises(ParityError, match="reference.streaming: expected a streaming graph in the export, as in the reference, received none"):
        climb(tdt, export=tmp_path / "plain", archive=tdt.archive)


def test_other_chunks_are_another_streaming_graph(bench, tmp_path):
    tdt = bench("tdt")
    reference = copy_with(tdt, tmp_path, lambda head: head["asked"]["streaming"].update(chunk_next=600))
    with pytest.raises(ParityError, match="reference.streaming"):
        climb(tdt, reference=reference)


@pytest.mark.parametrize("name, other", [
    ("projected", True), ("encoder_width", 7), ("encoder_output_width", 7), ("predictor_width", 7), ("predictor_layers", 7), ("mel_bins", 7),
    ("rule", "rnnt"), ("attention_context", [1, 1]),
])  # fmt: skip
def test_every_number_that_is_asked_about_must_agree(bench, tmp_path, name, other):
    tdt = bench("tdt")
    reference = copy_with(tdt, tmp_path, lambda head: head["asked"].update({name: other}))
    with pytest.raises(ParityError, match=f"reference.{name}: .*Make the reference again"):
        climb(tdt, reference=reference)


def test_a_folded_export_is_refused_by_the_reference_of_a_plain_one(bench):
    plain = bench("tdt")
    folded = bench("tdt-folded")
    # The same weights, and one graph less to project in.
    assert store.head(plain.reference)["weights_sha256"] == store.head(folded.reference)["weights_sha256"]
    with pytest.raises(ParityError, match="reference.projected"):
        climb(plain, export=folded.export)


def test_an_export_of_other_weights_is_refused_without_its_archive_too(bench, tmp_path):
    tdt = bench("tdt")
    archive = tmp_path / "other.nemo"
    other = Variant("tdt", "tdt", tdt.variant.options, seed=43)
    other.write_archive(archive)
    other.export(archive, tmp_path / "other")
    for given in (None, tdt.archive):
        with pytest.raises(ParityError, match="model_meta.json: source.weights_sha256"):
            climb(tdt, export=tmp_path / "other", archive=given)


def test_an_export_that_cannot_tell_its_weights_needs_its_archive(bench, tmp_path):
    tdt = bench("tdt")
    export = tmp_path / "export"
    shutil.copytree(tdt.export, export)
    (export / ties.META).unlink()
    with pytest.raises(ParityError, match="give its archive"):
        climb(tdt, export=export)
    found, _ = climb(tdt, export=export, archive=tdt.archive)
    assert found.passed
