"""Makes test/fixtures/models/vad: graphs with the inputs and outputs of Silero VAD 5, and what the good one gives.

    python tools/golden/vad.py

They hold no weights of Silero's. `silero-io.onnx` follows the level of the audio with 128 leaky integrators, and the noise
below it with 128 slow minima: a real function of samples, context, state and sampling rate, high in bursts of speech.
The probabilities in manifest.txt come from ONNX Runtime, called block after block as Silero's own wrapper calls its
graph. The other graphs are those that have to load all the same, or have to be refused.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from trt_asr_golden import audio
from trt_asr_golden.writer import SetWriter

FIXTURES = Path(__file__).resolve().parent.parent.parent / "test" / "fixtures"
BLOCK, CONTEXT, WIDTH = 512, 64, 128
F32, I64 = TensorProto.FLOAT, TensorProto.INT64

# The graph from `input`, `state`, `sr` on: level of the differences between samples, integrators, minima.
NODES = (
    ("Slice", ("input", "one", "end", "axis"), "later", {}),
    ("Slice", ("input", "zero", "last", "axis"), "earlier", {}),
    ("Sub", ("later", "earlier"), "change", {}),
    ("Mul", ("change", "change"), "square", {}),
    ("ReduceMean", ("square",), "power", {"axes": [1], "keepdims": 1}),
    ("Add", ("power", "guard"), "guarded", {}),
    ("Cast", ("sr",), "hz", {"to": F32}),
    ("Div", ("hz", "hz_known"), "rate", {}),
    ("Mul", ("guarded", "rate"), "scaled", {}),
    ("Log", ("scaled",), "logarithm", {}),
    ("Add", ("logarithm", "shift"), "level", {}),
    ("Gather", ("state", "row0"), "followed", {"axis": 0}),
    ("Gather", ("state", "row1"), "noise", {"axis": 0}),
    ("Mul", ("followed", "keep"), "kept", {}),
    ("Mul", ("level", "take"), "taken", {}),
    ("Add", ("kept", "taken"), "followed_next", {}),
    ("Add", ("noise", "rise"), "risen", {}),
    ("Min", ("level", "risen"), "noise_next", {}),
    ("Unsqueeze", ("followed_next", "zero"), "upper", {}),
    ("Unsqueeze", ("noise_next", "zero"), "lower", {}),
    ("Concat", ("upper", "lower"), "stateN", {"axis": 0}),
    ("Sub", ("followed_next", "noise_next"), "contrast", {}),
    ("ReduceMean", ("contrast",), "mean", {"axes": [1], "keepdims": 1}),
    ("Sub", ("mean", "threshold"), "logit", {}),
    ("Sigmoid", ("logit",), "output", {}),
)


def constants(width: int) -> dict[str, np.ndarray]:
    keep = np.linspace(0.1, 0.8, width, dtype=np.float32)
    floats = {"guard": 1e-7, "hz_known": 16000, "shift": 16, "threshold": 3}
    return {
        **{name: np.array([at], np.int64) for name, at in (("zero", 0), ("one", 1), ("last", -1), ("end", 2**31))},
        "axis": np.array([1], np.int64),
        "row0": np.array(0, np.int64),
        "row1": np.array(1, np.int64),
        **{name: np.array(value, np.float32) for name, value in floats.items()},
        "keep": keep,
        "take": 1 - keep,
        "rise": np.linspace(0.005, 0.05, width, dtype=np.float32),
    }


def tensor(name: str, dtype: int, shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def save(path: Path, nodes, inputs, outputs, weights: dict[str, np.ndarray]) -> None:
    used = {name for node in nodes for name in node.input}
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items() if name in used]
    graph = helper.make_graph(nodes, "vad", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def save_variant(path: Path, batch="batch", samples="samples", width=WIDTH, rate=(), more=(), change=None) -> None:
    """The graph with other extents, with more inputs, or with the nodes of `change` that make a value in another way."""
    made = {name: (kind, sources, attributes) for kind, sources, name, attributes in NODES} | (change or {})
    nodes = [
        helper.make_node(kind, list(sources), [name], **attributes) for name, (kind, sources, attributes) in made.items()
    ]
    inputs = [
        tensor("input", F32, [batch, samples]),
        tensor("state", F32, [2, batch, width]),
        tensor("sr", I64, list(rate)),
        *more,
    ]
    outputs = [tensor("output", F32, [batch, 1]), tensor("stateN", F32, [2, batch, width])]
    save(path, nodes, inputs, outputs, constants(width))


def save_old(path: Path) -> None:
    """The inputs and outputs of Silero VAD 4."""
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["loudest"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["loudest"], ["output"]),
        helper.make_node("Identity", ["h"], ["hn"]),
        helper.make_node("Identity", ["c"], ["cn"]),
    ]
    state = [2, "batch", 64]
    inputs = [tensor("input", F32, ["batch", "samples"]), tensor("sr", I64, [])]
    inputs += [tensor(name, F32, state) for name in ("h", "c")]
    outputs = [tensor("output", F32, ["batch", 1]), *(tensor(name, F32, state) for name in ("hn", "cn"))]
    save(path, nodes, inputs, outputs, {})


def save_typed(path: Path, dtypes: dict[str, int]) -> None:
    """Only names, extents and dtypes: a graph that is never run."""
    inputs = {"input": ["batch", "samples"], "state": [2, "batch", WIDTH], "sr": []}
    outputs = {"output": ["batch", 1], "stateN": [2, "batch", WIDTH]}
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["loudest"], axes=[1], keepdims=1),
        helper.make_node("Cast", ["loudest"], ["output"], to=dtypes.get("output", F32)),
        helper.make_node("Cast", ["state"], ["stateN"], to=dtypes.get("stateN", F32)),
        helper.make_node("Identity", ["sr"], ["unused"]),
    ]
    types = {"sr": I64, **dtypes}
    save(
        path,
        nodes,
        [tensor(name, types.get(name, F32), shape) for name, shape in inputs.items()],
        [tensor(name, types.get(name, F32), shape) for name, shape in outputs.items()],
        {},
    )


def probabilities(graph: Path, samples: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Of every block, the last one filled up with zeros, and the state after them."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, WIDTH), np.float32)
    context = np.zeros((1, CONTEXT), np.float32)
    found = []
    for begin in range(0, len(samples), BLOCK):
        block = np.zeros((1, BLOCK), np.float32)
        block[0, : len(samples) - begin] = samples[begin : begin + BLOCK]
        heard = np.concatenate([context, block], axis=1)
        output, state = session.run(
            ["output", "stateN"], {"input": heard, "state": state, "sr": np.array(16000, np.int64)}
        )
        context = heard[:, -CONTEXT:]
        found.append(float(output[0, 0]))
    return found, state


def make(folder: Path, pools: audio.Pools) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_variant(folder / "silero-io.onnx")
    # The same function, and as it may be declared too.
    save_variant(folder / "fixed.onnx", batch=1, samples=CONTEXT + BLOCK, rate=(1,))
    # Refused when loaded.
    save_old(folder / "version-4.onnx")
    save_typed(folder / "half.onnx", {"input": TensorProto.FLOAT16})
    save_typed(folder / "rate-float.onnx", {"sr": F32})
    save_typed(folder / "output-double.onnx", {"output": TensorProto.DOUBLE})
    save_variant(folder / "window-512.onnx", batch=1, samples=BLOCK)
    save_variant(folder / "state-64.onnx", width=64)
    save_variant(folder / "batch-2.onnx", batch=2)
    save_variant(folder / "more-inputs.onnx", more=[tensor("context", F32, ["batch", CONTEXT])])
    # Refused when they run: no probability, not a number in silence, a state that is not finite.
    save_variant(folder / "no-probability.onnx", change={"output": ("Identity", ("logit",), {})})
    save_variant(folder / "nan.onnx", change={"output": ("Log", ("logit",), {})})
    save_variant(folder / "state-infinite.onnx", change={"noise_next": ("Div", ("risen", "noise"), {})})
    writer = SetWriter(folder, "vad", "what silero-io.onnx gives, block after block")
    for name in ("speech", "noise"):
        samples = pools.pool(name)
        found, state = probabilities(folder / "silero-io.onnx", samples)
        writer.record("clip", name, f"../../golden/audio/{name}.wav", 0, len(samples))
        writer.floats(name, "probabilities", found)
        writer.tensor(name, "state", state)
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FIXTURES, help="the fixtures folder")
    fixtures = parser.parse_args().out
    make(fixtures / "models" / "vad", audio.Pools(fixtures / "golden" / "audio"))


if __name__ == "__main__":
    main()
