"""Every graph that the exporter writes becomes a TensorRT-RTX plan for four GPU generations, on a machine without a GPU."""

import json
from pathlib import Path

import pytest
import rtx_builds
from trt_asr_parity.streaming import StreamPlan
from trt_asr_parity.variants import VARIANTS

REPOSITORY = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(
    not rtx_builds.available(),
    reason="TensorRT-RTX is not installed: pip install --no-deps tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
)


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """The archive of each variant, written once."""
    folder = tmp_path_factory.mktemp("archives")
    made: dict[str, Path] = {}

    def archive(variant) -> Path:
        if variant.name not in made:
            made[variant.name] = folder / f"{variant.name}.nemo"
            variant.write_archive(made[variant.name])
        return made[variant.name]

    return archive


def _is_encoder(graph: Path) -> bool:
    return graph.stem not in ("predictor", "joint")


def _frames(folder: Path, graph: Path) -> tuple[int, int, int]:
    """A streaming encoder takes chunks of one size alone."""
    contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    if contract.get("streaming", {}).get("file") != graph.name:
        return rtx_builds.FRAMES
    plan = StreamPlan.of(contract)
    return (plan.pre_encode_next + plan.chunk_next,) * 3


def _graphs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.onnx"))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_graph_of_every_architecture_builds(variant, precision, archives, tmp_path):
    variant.export(archives(variant), tmp_path / "model", precision)
    graphs = _graphs(tmp_path / "model")
    assert graphs
    for graph in graphs:
        plan = rtx_builds.build(graph, _is_encoder(graph), frames=_frames(graph.parent, graph))
        assert len(plan) > 1000


@pytest.mark.parametrize("name", ["encoder", "predictor", "joint"])
def test_the_shipped_model_builds(name):
    assert len(rtx_builds.build(REPOSITORY / "models" / "demo-en" / f"{name}.onnx", name == "encoder")) > 1000


def test_a_quantised_graph_is_refused_by_the_parser(archives, tmp_path):
    variant = VARIANTS[0]
    variant.export(archives(variant), tmp_path / "model", "int8")
    with pytest.raises(rtx_builds.BuildError, match="MatMulInteger|DynamicQuantizeLinear"):
        rtx_builds.build(tmp_path / "model" / "encoder.onnx", True)


def test_a_plan_is_made_for_the_gpus_that_are_named():
    graph = REPOSITORY / "models" / "demo-en" / "joint.onnx"
    one, four = (rtx_builds.build(graph, False, capabilities) for capabilities in ((89,), rtx_builds.CAPABILITIES))
    assert len(one) < len(four)


def test_our_predictors_have_no_loop_and_lstm_nodes_are_parsed_as_loops():
    fixtures = REPOSITORY / "test" / "fixtures" / "models"
    ours = [REPOSITORY / "models" / "demo-en" / "predictor.onnx", fixtures / "tiny-ours" / "predictor.onnx"]
    assert [rtx_builds.loops(path) for path in ours] == [0, 0]
    theirs = [fixtures / "tiny-nemo" / "decoder_joint-model.onnx", fixtures / "tiny-sherpa" / "decoder.onnx"]
    assert [rtx_builds.loops(path) for path in theirs] == [2, 2]
