"""The steps of the validation, in order: what each runs, and what it needs. A step is named PART or PART.WHAT."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import machine, models, native, report

PARTS = ("probe", "kernels", "decode", "parity", "model", "engines", "throughput", "latency", "torch")

DEMO = machine.REPOSITORY / "models" / "demo-en"
DEMO_PROFILE = native.Profile((1, 8, 64), (1, 1000, 3000), (1, 8, 64))
# CONTRACT: batches of 256 rows are of 10 s. SOURCE: TensorRT's limit of 2^31 - 1 elements in a tensor. WHY: the first convolution of 256
# channels gives [256, 256, 500, 64] for them, 2.097e9 elements. TODO: none.
FULL_PROFILE = native.Profile((1, 32, 256), (1, 1000, 1000), (1, 32, 256))
FULL_BATCHES = "1 8 32 128 256"
AUDIO_S = 10
# The windows of a recognizer are of 30 s, one at a time.
WINDOW_PROFILE = native.Profile((1, 1, 1), (1, 1000, 3000), (1, 8, 64))
SESSIONS = "1 64 512"


@dataclass
class Context:
    """What the steps share."""

    out: Path
    executable: Path
    plugins: Path | None
    folders: list[str]
    limit_s: float
    seed: int = 1
    tensorrt: str | None = None  # The folder whose TensorRT runs here; "" is the system's.
    why_not: str = "the probe has not run"
    known: dict[str, dict] = field(default_factory=dict)

    def base(self) -> dict:
        return {"cache": str(self.out / "plans"), "plugins": str(self.plugins or ""), "tensorrt": self.tensorrt or ""}

    def native(self, name: str, lines: dict) -> dict:
        """Runs the part of the step `name` natively."""
        return native.run(self.executable, name.split(".")[0], self.base() | lines, self.out / "steps" / name, self.limit_s)

    def settle(self) -> None:
        """Takes from the probe which TensorRT the further steps use."""
        probe = self.known.get("probe")
        places = probe["figures"].get("places", []) if probe else []
        running = [one for one in places if one["figures"].get("runs")]
        if running:
            self.tensorrt, self.why_not = running[0]["folder"], ""
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


def _probe(context: Context) -> dict:
    """Every place with a TensorRT, each in a process of its own."""
    places, failed, skipped = [], [], []
    for index, folder in enumerate(context.folders):
        lines = context.base() | native.model_lines(DEMO, "demo-en") | DEMO_PROFILE.lines()
        lines |= {"tensorrt": folder, "cache": str(context.out / "probe-plans")}
        told = native.run(context.executable, "probe", lines, context.out / "steps" / f"probe.{index}", context.limit_s)
        places.append({"folder": folder, **told})
        (failed if told["status"] == "fail" else skipped if told["status"] == "skipped" else []).append(told["reason"])
    good = any(one["figures"].get("runs") for one in places)
    status = "fail" if failed else "pass" if good else "skipped"
    reasons = failed or ([] if good else skipped)
    return report.step(status, "; ".join(dict.fromkeys(reasons)), {"places": places}, sum(one.get("seconds", 0) for one in places))


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


STEPS = (
    Step("probe", _probe, tensorrt=False),
    Step("kernels", _kernels, tensorrt=False),
    _demo("decode.demo-en.fp32", "fp32"),
    _demo("decode.demo-en.fp16", "fp16"),
    _demo("parity.demo-en.fp32", "fp32"),
    _demo("parity.demo-en.fp16", "fp16"),
    Step("model.full", models.make_full, tensorrt=False),
    _demo("engines.demo-en.fp32", "fp32"),
    _demo("engines.demo-en.fp16", "fp16"),
    _full("engines.full.fp16", "fp16", FULL_PROFILE),
    _full("engines.full-window.fp16", "fp16", WINDOW_PROFILE),
    _full("engines.full-window.fp32", "fp32", WINDOW_PROFILE),
    Step("model.paced", models.make_paced, tensorrt=False, model=models.FULL),
    _demo("throughput.demo-en.fp16", "fp16", batches="1 8 32 64", audio_s=AUDIO_S),
    _full("throughput.full.fp16", "fp16", FULL_PROFILE, batches=FULL_BATCHES, audio_s=AUDIO_S),
    _full("throughput.full-paced.fp16", "fp16", FULL_PROFILE, models.PACED, batches=FULL_BATCHES, audio_s=AUDIO_S),
    _demo("latency.demo-en.fp16", "fp16", sessions=SESSIONS, audio_s=4),
    _full("latency.full-paced.fp16", "fp16", WINDOW_PROFILE, models.PACED, sessions=SESSIONS, audio_s=4),
    Step("torch.full", models.time_torch, tensorrt=False),
)


def chosen(parts: list[str] | None, steps: tuple[Step, ...] = STEPS) -> list[Step]:
    """Steps of the parts, in their own order; all without a choice. Raises ValueError for a part that is none."""
    wrong = [one for one in parts or [] if one not in PARTS]
    if wrong:
        raise ValueError(f"no part {', '.join(wrong)}; there are {', '.join(PARTS)}")
    return [step for step in steps if not parts or step.part in parts]
