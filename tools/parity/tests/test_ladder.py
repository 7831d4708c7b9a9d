"""The ladder on every architecture against the committed references of NeMo; and broken graphs, which it must notice."""

import pytest
from trt_asr_parity import damage, run
from trt_asr_parity.variants import VARIANTS

NAMES = [variant.name for variant in VARIANTS]
HARMS = [(name, harm) for name, harms in damage.BY_VARIANT.items() for harm in harms]


@pytest.mark.parametrize("name", NAMES)
def test_rebuilt_archive_has_the_weights_of_the_reference(bench, name):
    assert bench(name).same_weights() == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_rung_holds(bench, name):
    assert bench(name).climbs() == ""


@pytest.mark.parametrize("name, harm", HARMS, ids=[f"{name}: {harm.name}" for name, harm in HARMS])
def test_a_broken_graph_fails(bench, name, harm):
    assert bench(name).notices(harm) == ""


def test_two_exports_have_the_same_bytes(bench):
    assert bench("tdt").same_bytes_again() == ""


def test_int8_is_measured_and_not_gated(bench):
    assert bench("tdt").told() == ""


def test_a_reference_of_other_weights_is_refused(bench):
    assert bench("tdt").refuses_other_weights() == ""


def test_without_a_reference_the_ladder_starts_at_torch(bench):
    tdt = bench("tdt")
    question = run.Question(tdt.export, tdt.archive, None, 7, tdt.variant.size, 1, ("encoder", "predictor", "joint"))
    found, facts = run.climb(question)
    assert found.passed
    assert found.rungs == ["torch/ort"]
    assert facts["reference_made_with"] is None


def test_without_an_archive_the_graphs_climb_alone(bench):
    tdt = bench("tdt")
    found, _ = run.climb(run.Question(tdt.export, None, tdt.reference, 42, tdt.variant.size, 1, ("encoder", "decode")))
    assert found.passed
    assert found.rungs == ["nemo/ort"]
