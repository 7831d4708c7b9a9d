"""The ladder's findings as JSON and Markdown. Nothing in it tells of a machine's paths or of the hour."""

import json
from pathlib import Path

from .compare import Check
from .ladder import Climb
from .stages import STAGES

RUNG_NAMES = {
    "nemo/torch": "NeMo -> our PyTorch modules",
    "torch/ort": "our PyTorch modules -> ONNX Runtime",
    "nemo/ort": "NeMo -> ONNX Runtime",
}


INT8_PARTS = "Predictor and joint stay fp32 on purpose: int8 are the encoders alone, whole and streaming, which do nearly all the work."


def document(climb: Climb, facts: dict) -> dict:
    """The whole as one JSON value."""
    return {
        "format": "trt-asr-parity-report/1",
        **facts,
        "precision": climb.precision,
        "rungs": climb.rungs,
        "passed": climb.passed,
        "checks": len(climb.checks),
        "failed": len(climb.failures),
        "results": [check.record() for check in climb.checks],
    }


def read(path: Path) -> tuple[Climb, dict]:
    """The climb of a report.json, and the whole value."""
    value = json.loads(path.read_text(encoding="utf-8"))
    checks = [Check(**record) for record in value["results"]]
    return Climb(value["precision"], value["rungs"], checks), value


def _rounded(value):
    """Six digits are more than a comparison of float32 can carry, and keep the file small."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def write_json(path: Path, value: dict) -> None:
    results = [json.dumps(_rounded(one), ensure_ascii=False) for one in value["results"]]
    head = json.dumps({key: _rounded(one) for key, one in value.items() if key != "results"}, indent=2, ensure_ascii=False)
    path.write_text(head[:-2] + ',\n  "results": [\n    ' + ",\n    ".join(results) + "\n  ]\n}\n", encoding="utf-8")


def _worst(checks: list[Check]) -> Check:
    return max(checks, key=lambda check: check.facts.get("excess", 0.0))


def _number(value: float) -> str:
    return f"{value:.2e}" if value else "0"


def error_table(climb: Climb, rung: str) -> list[str]:
    """One line an output: the item in which it was worst."""
    lines = ["| stage | output | items | max | p99 | p95 | p50 | cosine | of the tolerance | |", "|---|---|---|---|---|---|---|---|---|---|"]
    for stage in STAGES:
        measured = [c for c in climb.checks if c.rung == rung and c.stage == stage and "excess" in c.facts]
        for output in dict.fromkeys(check.output for check in measured):
            same = [check for check in measured if check.output == output]
            worst = _worst(same)
            facts = worst.facts
            numbers = [_number(facts[key]) for key in ("max", "p99", "p95", "p50")]
            share = "inf" if facts["excess"] == float("inf") else f"{facts['excess']:.3f}"
            lines.append(f"| {stage} | {output} | {len(same)} | {' | '.join(numbers)} | {facts['cosine']:.9f} | {share} | {_verdict(same)} |")
    return lines


def _verdict(checks: list[Check]) -> str:
    if any(check.failed for check in checks):
        return "FAIL"
    return "pass" if all(check.gated for check in checks) else "told"


def decision_table(climb: Climb, rung: str) -> list[str]:
    """What is counted instead of measured: classes, tokens, frames, words."""
    lines = ["| stage | what | items | result | |", "|---|---|---|---|---|"]
    for stage in STAGES:
        counted = [c for c in climb.checks if c.rung == rung and c.stage == stage and "excess" not in c.facts]
        for output in dict.fromkeys(check.output for check in counted):
            same = [check for check in counted if check.output == output]
            lines.append(f"| {stage} | {output} | {len(same)} | {_counted(same)} | {_verdict(same)} |")
    return lines


def _counted(checks: list[Check]) -> str:
    facts = [check.facts for check in checks]
    if "agreement" in facts[0]:
        rows = sum(one["rows"] for one in facts)
        agreed = sum(one["agreement"] * one["rows"] for one in facts)
        return f"{agreed / max(rows, 1):.4%} of {rows} rows agree"
    if "edits" in facts[0]:
        edits, tokens = sum(one["edits"] for one in facts), sum(one["tokens"] for one in facts)
        return f"{edits} edits on {tokens} tokens, {edits / max(tokens, 1):.2%}"
    if "growth" in facts[0]:
        return "; ".join(f"{c.item}: slope {_number(c.facts['slope_per_100_chunks'])} a 100 chunks, grows by {_number(c.facts['growth'])}" for c in checks)  # fmt: skip
    return f"{sum(bool(one.get('same')) for one in facts)} of {len(facts)} identical"


def failure_list(climb: Climb, limit: int = 40) -> list[str]:
    lines = [f"- {c.rung} {c.stage}/{c.item}, {c.output}: {c.reason}" for c in climb.failures[:limit]]
    more = len(climb.failures) - limit
    return lines + ([f"- and {more} more"] if more > 0 else [])


def unsteady(facts: dict) -> list[str]:
    """A line that names the clips which were not decoded; none when all were."""
    told = [f"{name} ({margin:.1e})" for name, margin in facts.get("unsteady_clips", {}).items()]
    return [f"Not decoded, because the two best classes once come too close (by so much): {', '.join(told)}."] if told else []


def sections(climb: Climb) -> list[str]:
    """Markdown of one precision."""
    verdict = "pass" if climb.passed else f"FAIL: {len(climb.failures)} of"
    lines = [f"{len(climb.checks)} checks: {verdict}." if climb.passed else f"{verdict} {len(climb.checks)} checks.", ""]
    if not any(rung.startswith("nemo/") for rung in climb.rungs):
        lines += ["There is no reference by NeMo here: the ladder starts at our PyTorch modules.", ""]
    elif "nemo/torch" not in climb.rungs:
        lines += ["The graphs alone are held against NeMo here.", ""]
    if climb.precision != "fp32":
        lines += ["`told` means: measured and not gated, because this precision has no fp32 tolerance to meet.", ""]
    if climb.precision == "int8":
        lines += [INT8_PARTS, ""]
    lines += failure_list(climb) + ([""] if climb.failures else [])
    for rung in climb.rungs:
        lines += [f"#### {RUNG_NAMES[rung]}", "", *error_table(climb, rung), "", *decision_table(climb, rung), ""]
    return lines


def markdown(climbs: list[Climb], title: str, facts: list[str], plots: list[str]) -> str:
    lines = [f"# {title}", "", *facts, ""]
    for climb in climbs:
        lines += [f"### {climb.precision}", "", *sections(climb)]
    lines += [f"![{name.removesuffix('.png')}]({name})" for name in plots]
    return "\n".join(lines).rstrip("\n") + "\n"
