"""The steps of the validation, in order: what each runs, and what it needs. A step is named PART or PART.WHAT."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import machine, models, native, report

PARTS = (
    "probe", "kernels", "sanitizer", "bridge", "decode", "parity", "streaming", "model", "engines", "throughput", "recordings", "latency",
    "live", "torch",
)  # fmt: skip

DEMO = machine.REPOSITORY / "models" / "demo-en"
STREAMING = machine.REPOSITORY / "models" / "demo-en-streaming"
DEMO_PROFILE = native.Profile((1, 8, 64), (1, 1000, 3000), (1, 8, 64))
# CONTRACT: batches of 256 rows are of 10 s. SOURCE: TensorRT's limit of 2^31 - 1 elements in a tensor. WHY: the first convolution of 256
# channels gives [256, 256, 500, 64] for them, 2.097e9 elements. TODO: none.
FULL_PROFILE = native.Profile((1, 32, 256), (1, 1000, 1000), (1, 32, 256))
FULL_BATCHES = "1 8 32 128 256"
AUDIO_S = 10
# The windows of a recognizer: at most 30 s; those of a live session with its contexts have 1,400 frames.
WINDOW_PROFILE = native.Profile((1, 8, 32), (1, 1400, 3000), (1, 8, 64))
SESSIONS = "1 64 512"
# sessions:lanes:batch:wait in ms
RECORDINGS = "1:1:1:0 64:1:8:0 128:1:32:0 128:2:32:0"
LIVE = "1:1:1:0 64:2:8:10 512:2:32:20"


@dataclass
class Context:
    """What the steps share."""

    out: Path
    executable: Path
    plugins: Path | None
    folders: list[str]
    limit_s: float  # Longest time of the next step.
    seed: int = 1
    tensorrt: str | None = None  # The folder whose TensorRT runs here; "" is the system's.
    targets: str = ""  # What TensorRT-RTX has to be told of this GPU; "" where it knows it.
    why_not: str = "the probe has not run"
    known: dict[str, dict] = field(default_factory=dict)

    def base(self) -> dict:
        # A plan's key does not say what the GPU was taken for.
        cache = self.out / (f"plans-{self.targets}" if self.targets else "plans")
        return {"cache": str(cache), "plugins": str(self.plugins or ""), "tensorrt": self.tensorrt or "", "targets": self.targets}

    def native(self, name: str, lines: dict, **more) -> dict:
        """Runs the part of the step `name` natively. `more`: what native.run takes besides."""
        part = more.pop("part", name.split(".")[0])
        return native.run(self.executable, part, self.base() | lines, self.out / "steps" / name, self.limit_s, **more)

    def settle(self) -> None:
        """Takes from the probe which TensorRT the further steps use."""
        probe = self.known.get("probe")
        places = probe["figures"].get("places", []) if probe else []
        running = [one for one in places if one["figures"].get("runs")]
        if running:
            self.tensorrt, self.targets, self.why_not = running[0]["folder"], running[0].get("targets", ""), ""
        elif probe:
            self.why_not = f"no TensorRT runs on this GPU: {probe['reason']}"


@dataclass(frozen=True)
class Step:
    name: str
    run: Callable[[Context], dict]
    tensorrt: bool = True
    model: str | None = None  # Folder below OUT/models that has to be there.

    @property
    def part(self) -> str:
        return self.name.split(".")[0]

    def missing(self, context: Context) -> str:
        """Why the step cannot run; empty where it can."""
        if self.tensorrt and context.tensorrt is None:
            return context.why_not
        if self.model is not None and not (context.out / "models" / self.model / "contract.json").is_file():
            told = context.known.get("model.full", {}).get("reason", "")
            return f"no model {self.model}: {told or 'run the part model first'}"
        return ""


# What a GPU is taken for that TensorRT-RTX has no name for: unnamed, and GPUs whose plans it may run.
OTHER_TARGETS = ("0", "80", "89", "120")


def _probe(context: Context) -> dict:
    """Every place with a TensorRT, each in a process of its own; TensorRT-RTX also as if the GPU were another one, where it refuses it."""
    places, failed, skipped = [], [], []
    if not context.folders:
        return report.step("skipped", f"none of {', '.join(machine.TENSORRT_FILES)} in the folder given, nor in its folders for libraries")
    for index, folder in enumerate(context.folders):
        for targets in ("", *OTHER_TARGETS):
            lines = context.base() | native.model_lines(DEMO, "demo-en") | DEMO_PROFILE.lines()
            lines |= {"tensorrt": folder, "targets": targets, "cache": str(context.out / f"probe-plans-{targets}")}
            name = f"probe.{index}" + (f".{targets}" if targets else "")
            told = native.run(context.executable, "probe", lines, context.out / "steps" / name, context.limit_s)
            places.append({"folder": folder, "targets": targets, **told})
            if targets == "" and told["status"] != "pass":
                (failed if told["status"] == "fail" else skipped).append(told["reason"])
            if told["figures"].get("runs") or told["figures"].get("flavour") != "rtx":
                break
    good = any(one["figures"].get("runs") for one in places)
    status = "pass" if good else "fail" if failed else "skipped"
    return report.step(
        status, "; ".join(dict.fromkeys(failed or ([] if good else skipped))), {"places": places}, sum(one.get("seconds", 0) for one in places)
    )


def _demo(name: str, precision: str, **lines) -> Step:
    def run(context: Context) -> dict:
        return context.native(name, native.model_lines(DEMO, "demo-en") | DEMO_PROFILE.lines() | {"precision": precision} | lines)

    return Step(name, run)


def _full(name: str, precision: str, profile: native.Profile, folder: str = models.FULL, **lines) -> Step:
    def run(context: Context) -> dict:
        model = native.model_lines(context.out / "models" / folder, models.FULL)
        return context.native(name, model | profile.lines() | {"precision": precision} | lines)

    return Step(name, run, model=folder)


def _kernels(context: Context) -> dict:
    return context.native("kernels", {"rounds": 3000, "seed": 20 + context.seed})


def _streaming(name: str, precision: str) -> Step:
    def run(context: Context) -> dict:
        lines = native.model_lines(STREAMING, "demo-en-streaming") | DEMO_PROFILE.lines()
        return context.native(name, lines | {"precision": precision})

    return Step(name, run)


def _bridged(name: str, part: str) -> Step:
    """A part in fp32 with our kernels on the GPU and ONNX Runtime on the host in TensorRT's place."""

    def run(context: Context) -> dict:
        bridge = context.executable.parent / "bridge"
        if not bridge.is_dir():
            return report.step("skipped", "the bridge is not built")
        folder = (STREAMING, "demo-en-streaming") if part == "streaming" else (DEMO, "demo-en")
        lines = native.model_lines(*folder) | DEMO_PROFILE.lines() | {"precision": "fp32"}
        lines |= {"tensorrt": bridge, "plugins": bridge, "cache": context.out / "bridge-plans"}
        below = (context.plugins or context.executable.parent) / "libtrt_asr_cuda.so"
        if not below.is_file():
            return report.step("skipped", "no CUDA library: nvcc was not found")
        return context.native(name, lines, part=part, environment={"TRT_ASR_BRIDGED": str(below)})

    return Step(name, run, tensorrt=False)


def sanitized(tool: str) -> Callable[[Context], dict]:
    """The kernels' cases under a tool of NVIDIA's compute-sanitizer: few of them, as it is slow."""

    def run(context: Context) -> dict:
        sanitizer = machine.compute_sanitizer()
        if sanitizer is None:
            return report.step("skipped", "no compute-sanitizer")
        prefix = [sanitizer, "--tool", tool, "--error-exitcode", "99", "--print-limit", "20"]
        lines = {"rounds": 40, "seed": 40 + context.seed}
        told = context.native(f"sanitizer.{tool}", lines, part="kernels", prefix=prefix)
        log = context.out / "steps" / f"sanitizer.{tool}.log"
        said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("=========")]
        told["figures"]["said"] = said[:40]
        return told

    return run


# What is worth most comes first: the machine may be there for minutes only.
STEPS = (
    Step("probe", _probe, tensorrt=False),
    Step("kernels", _kernels, tensorrt=False),
    _bridged("bridge.decode", "decode"),
    _bridged("bridge.parity", "parity"),
    _demo("decode.demo-en.fp32", "fp32"),
    _demo("parity.demo-en.fp32", "fp32"),
    _demo("parity.demo-en.fp16", "fp16"),
    _streaming("streaming.demo-en.fp32", "fp32"),
    _demo("throughput.demo-en.fp16", "fp16", batches="1 8 32 64", audio_s=AUDIO_S),
    _demo("recordings.demo-en.fp16", "fp16", loads=RECORDINGS, audio_s=60),
    _demo("latency.demo-en.fp16", "fp16", sessions=SESSIONS, audio_s=4),
    _demo("live.demo-en.fp16", "fp16", loads=LIVE, audio_s=14),
    Step("model.full", models.make_full, tensorrt=False),
    Step("torch.full", models.time_torch, tensorrt=False),
    Step("model.paced", models.make_paced, tensorrt=False, model=models.FULL),
    _full("engines.full.fp16", "fp16", FULL_PROFILE),
    _full("throughput.full-paced.fp16", "fp16", FULL_PROFILE, models.PACED, batches=FULL_BATCHES, audio_s=AUDIO_S),
    _full("engines.full-window.fp16", "fp16", WINDOW_PROFILE),
    _full("latency.full-paced.fp16", "fp16", WINDOW_PROFILE, models.PACED, sessions=SESSIONS, audio_s=4),
    _full("recordings.full-paced.fp16", "fp16", WINDOW_PROFILE, models.PACED, loads=RECORDINGS, audio_s=60),
    _full("live.full-paced.fp16", "fp16", WINDOW_PROFILE, models.PACED, loads=LIVE, audio_s=14),
    _full("throughput.full.fp16", "fp16", FULL_PROFILE, batches=FULL_BATCHES, audio_s=AUDIO_S),
    Step("sanitizer.racecheck", sanitized("racecheck"), tensorrt=False),
    Step("sanitizer.memcheck", sanitized("memcheck"), tensorrt=False),
    Step("sanitizer.synccheck", sanitized("synccheck"), tensorrt=False),
    _demo("decode.demo-en.fp16", "fp16"),
    _streaming("streaming.demo-en.fp16", "fp16"),
    _bridged("bridge.streaming", "streaming"),
    _demo("engines.demo-en.fp32", "fp32"),
    _demo("engines.demo-en.fp16", "fp16"),
    _full("engines.full-window.fp32", "fp32", WINDOW_PROFILE),
)


def chosen(parts: list[str] | None, steps: tuple[Step, ...] | None = None) -> list[Step]:
    """Steps of the parts, or whose names begin as given (`throughput.full`), in their own order; all without a choice. Raises ValueError
    for what no step is named."""
    steps = STEPS if steps is None else steps

    def belongs(step: Step, name: str) -> bool:
        return step.name == name or step.name.startswith((f"{name}.", f"{name}-"))

    wrong = [one for one in parts or [] if one not in PARTS and not any(belongs(step, one) for step in steps)]
    if wrong:
        raise ValueError(f"no part {', '.join(wrong)}; there are {', '.join(PARTS)}")
    return [step for step in steps if not parts or any(belongs(step, one) for one in parts)]
