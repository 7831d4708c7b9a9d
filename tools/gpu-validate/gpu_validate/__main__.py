"""python3 -m gpu_validate: see README.md beside this package."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import machine, native, report, steps


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="run.sh", description="Builds, checks and times the GPU path on the machine at hand.")
    made.add_argument("--out", type=Path, default=Path("gpu-validate"), help="folder of the report, the build and the models")
    listed = lambda text: [one for one in text.split(",") if one]  # noqa: E731
    made.add_argument("--parts", type=listed, help=f"of {','.join(steps.PARTS)}, or beginnings of steps' names; by default all")
    made.add_argument("--tensorrt", type=Path, help="folder with TensorRT's libraries, unpacked wheels too, and its headers if it has them")
    made.add_argument("--plugins", type=Path, help="folder with our own libraries, built elsewhere; by default those that are built here")
    made.add_argument("--build", type=Path, help="folder of the build; by default OUT/build")
    made.add_argument("--executable", type=Path, help=f"{native.EXECUTABLE}, built elsewhere with all that lies beside it; nothing is built")
    made.add_argument("--again", action="store_true", help="run also the steps whose results are there")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--limit-s", type=float, default=470, help="longest time of a step")
    made.add_argument("--budget-s", type=float, help="end after this time, the build counted in; call again to go on")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return made


def kept(out: Path, name: str) -> dict | None:
    """The result of a step that is there already. What was skipped is tried anew."""
    try:
        one = json.loads((out / "steps" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return one if isinstance(one, dict) and one.get("status") in ("pass", "fail") else None


def keep(out: Path, name: str, one: dict) -> None:
    target = out / "steps" / f"{name}.json"
    scratch = target.with_suffix(".part")
    scratch.write_text(json.dumps(one, indent=2) + "\n", encoding="utf-8")
    scratch.replace(target)


def run_step(step: steps.Step, context: steps.Context, left_s: float = float("inf")) -> dict:
    """`left_s`: what is left of the budget. A step that it cuts short is not one that took too long."""
    missing = step.missing(context)
    if missing:
        return report.step("skipped", missing)
    began = time.monotonic()
    limit_s, context.limit_s = context.limit_s, min(context.limit_s, left_s)
    try:
        one = step.run(context)
    except Exception as error:  # noqa: BLE001 - a step that breaks is a step that failed, and the next one runs
        one = report.step("fail", f"{type(error).__name__}: {error}")
    finally:
        context.limit_s = limit_s
    if left_s < limit_s and one["status"] == "fail" and one["reason"].startswith(native.TOO_LONG):
        one = report.step("skipped", f"the budget ended while it ran, after {left_s:.0f} s")
    one.setdefault("seconds", time.monotonic() - began)
    return one


def run_steps(
    todo: list[steps.Step], context: steps.Context, again: bool, budget_s: float | None, told: Callable[[dict], object] = lambda _known: None
) -> dict[str, dict]:  # fmt: skip
    """Runs what is to be run and returns every result that is there, also of parts that were not asked for. `told` gets those after each
    step."""
    began = time.monotonic()
    names = {step.name for step in todo}
    # Which TensorRT runs here is asked first by whatever needs one.
    if any(step.tensorrt for step in todo):
        names.add("probe")
    for step in steps.STEPS:
        found = kept(context.out, step.name)
        wanted = step.name in names
        if wanted and (again or found is None):
            left_s = float("inf") if budget_s is None else budget_s - (time.monotonic() - began)
            if left_s <= 0:
                found = report.step("skipped", "the budget was used up")
            else:
                found = run_step(step, context, left_s)
                keep(context.out, step.name, found)
            print(f"{step.name}: {found['status']} in {found['seconds']:.1f} s  {report.summary(step.name, found)[:300]}")
        elif wanted:
            print(f"{step.name}: {found['status']}, kept")
        if found is not None:
            context.known[step.name] = found
            told(context.known)
        if step.name == "probe":
            context.settle()
    return context.known


def main(arguments: list[str] | None = None) -> int:
    began = time.monotonic()
    options = parser().parse_args(arguments)
    out = options.out.resolve()
    try:
        todo = steps.chosen(options.parts)
    except ValueError as error:
        print(f"gpu-validate: {error}", file=sys.stderr)
        return 2
    (out / "steps").mkdir(parents=True, exist_ok=True)
    count, why = machine.gpu_count()
    described = machine.describe()
    if count == 0:
        report.write(out, described, {}, why, "no-gpu")
        print(f"gpu-validate: no GPU, nothing was run: {why}", file=sys.stderr)
        return 2
    tensorrt = options.tensorrt.resolve() if options.tensorrt else None
    plugins = options.plugins.resolve() if options.plugins else None
    try:
        if options.executable is not None:
            executable = options.executable.resolve()
        else:
            executable = native.build(options.build.resolve() if options.build else out / "build", tensorrt, options.jobs)
    except native.NativeError as error:
        report.write(out, described, {}, str(error), "fail")
        print(f"gpu-validate: {error}", file=sys.stderr)
        return 2
    context = steps.Context(out, executable, plugins, machine.tensorrt_folders(tensorrt), options.limit_s, options.seed)
    budget_s = None if options.budget_s is None else options.budget_s - (time.monotonic() - began)

    def told(known: dict) -> dict:
        return report.write(out, described, known)

    document = told(run_steps(todo, context, options.again, budget_s, told))
    print(f"{document['status']}: {out / 'gpu-validate.json'}, {out / 'gpu-validate.md'}")
    return 1 if document["status"] == "fail" else 0


if __name__ == "__main__":
    sys.exit(main())
