"""docs/EXPORT_REPORT.md and docs/VALIDATION_REPORT_ORT.md from what `full-size` and `variants` left behind."""

import json
from pathlib import Path

from . import plots, report
from .ladder import Climb
from .report import RUNG_NAMES

PICTURES = "parity"
OPERATORS_SHOWN = 12
GIGABYTE = 1e9


def _load(folder: Path) -> dict:
    return json.loads((folder / "full-size.json").read_text(encoding="utf-8"))


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _circumstances(facts: dict) -> list[str]:
    return [
        f"Model: random weights (seed {facts['seed']}) in the exact architecture of Parakeet-TDT-0.6b-v3; the archive holds"
        f" {facts['archive']['bytes']:,} bytes, its weights' hash is `{facts['archive']['weights_sha256']}`.",
        "Published weights were not used: none were at hand. Random weights exercise every operator, shape and mask, and no word error rate.",
        "",
        f"Made with {_versions(facts['versions'])} on {facts['processor']}.",
    ]


def _steps(facts: dict, names: str) -> list[str]:
    lines = ["| step | seconds | peak memory | command |", "|---|---|---|---|"]
    for step in facts["steps"]:
        if step["name"].startswith(names):
            lines.append(f"| {step['name']} | {step['seconds']:.0f} | {step['peak_bytes'] / GIGABYTE:.2f} GB | `{step['command']}` |")
    return lines


def _operators(found: dict[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(found.items())[:OPERATORS_SHOWN]]
    rest = len(found) - OPERATORS_SHOWN
    return ", ".join(shown) + (f" and {rest} more kinds" if rest > 0 else "")


def _export_of(precision: str, facts: dict) -> list[str]:
    told = facts["exports"][precision]
    lines = [f"## {precision}", "", *([report.INT8_PARTS, ""] if precision == "int8" else []), "| graph | nodes | weights | operators |", "|---|---|---|---|"]
    for name, one in told["graphs"].items():
        lines.append(f"| `{name}` | {one['nodes']} | {one['weights']:,} in {one['initializers']} tensors | {_operators(one['operators'])} |")
    lines += ["", "| file | bytes | sha256 |", "|---|---|---|"]
    lines += [f"| `{name}` | {one['bytes']:,} | `{one['sha256']}` |" for name, one in told["files"].items()]
    lines += ["", f"A second export gave {'the same bytes in every file' if told['same_bytes_again'] else 'OTHER BYTES: the export is not deterministic'}.", ""]
    return lines


def export_report(facts: dict) -> str:
    opsets = {json.dumps(one["opset"]) for told in facts["exports"].values() for one in told["graphs"].values()}
    lines = [
        "# Export report", "", "Written by `npm run parity -- full-size --out DIR`; do not edit.", "", *_circumstances(facts), "",
        f"Opsets: {'; '.join(sorted(opsets))}.", "", *_steps(facts, ("archive", "export")), "",
    ]  # fmt: skip
    for precision in facts["precisions"]:
        lines += _export_of(precision, facts)
    return "\n".join(lines).rstrip("\n") + "\n"


def _summary(found: Climb) -> list[str]:
    lines = ["| rung | checks | failed | largest error, of its tolerance | token edit rate |", "|---|---|---|---|---|"]
    for rung in found.rungs:
        checks = [check for check in found.checks if check.rung == rung]
        worst = max((check.facts["excess"] for check in checks if "excess" in check.facts), default=0.0)
        edits = [check.facts for check in checks if "edits" in check.facts]
        changed, tokens = sum(one["edits"] for one in edits), sum(one["tokens"] for one in edits)
        rate = f"{changed} of {tokens}, {changed / max(tokens, 1):.2%}" if edits else "-"
        lines.append(f"| {RUNG_NAMES[rung]} | {len(checks)} | {sum(check.failed for check in checks)} | {worst:.3f} | {rate} |")
    return lines


def _variants(folder: Path) -> list[str]:
    """The tiny models of every architecture, if their climbs were kept."""
    sources = sorted((folder / "variants").glob("*/report.json"))
    if not sources:
        return []
    lines = [
        "## Every architecture, tiny", "",
        "Random models that are rebuilt from their seed, against the committed references of NeMo in `tools/parity/references`.", "",
        "| variant | rule | rungs | checks | failed | largest error, of its tolerance | growth over the chunks |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for source in sources:
        found, told = report.read(source)
        worst = max(check.facts["excess"] for check in found.checks if "excess" in check.facts)
        grown = [f"{check.item}: {check.facts['growth']:.1e}" for check in found.checks if check.output == "drift" and check.rung == "nemo/ort"]
        lines.append(f"| {source.parent.name} | {told['rule']} | {len(found.rungs)} | {len(found.checks)} | {len(found.failures)} |"
                     f" {worst:.3f} | {'; '.join(grown) or '-'} |")  # fmt: skip
    return [*lines, ""]


def validation_report(folder: Path, facts: dict, climbs: dict[str, Climb], pictures: dict[str, list[str]]) -> str:
    lines = [
        "# Validation report: ONNX Runtime", "", "Written by `npm run parity -- full-size --out DIR`; do not edit.", "", *_circumstances(facts), "",
        "Rule for fp32: |a - b| <= absolute + relative |b| with the contract's tolerances, the same tokens, frames, durations and words.",
        "Other precisions are measured (`told`) and fail only on NaN or a wrong shape. What is asked of each stage: `tools/parity/README.md`.",
        "A random model's best classes lie close together, so that small errors change its tokens: the edit rates of fp16 and int8 below say nothing",
        "of a trained model's.", "",
        *_steps(facts, ("NeMo", "ladder", "variants")), "", *_variants(folder), "## Full size", "",
        *report.unsteady(facts), *([""] if report.unsteady(facts) else []),
    ]  # fmt: skip
    lines += [
        "The streaming encoder is the one asked for: cache 256, nothing dropped from it, chunks of 592 frames. The model's convolutions are symmetric,",
        "so the frames that `cache_last_time` keeps are the right padding of the chunk: it is zero after every chunk, in NeMo too.", "",
    ]  # fmt: skip
    for precision, found in climbs.items():
        lines += [f"### {precision}", "", *_summary(found), "", *report.sections(found)]
        lines += [f"![{name.removesuffix('.png')}]({PICTURES}/{name})" for name in pictures[precision]] + [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def write(folder: Path, docs: Path) -> None:
    """Both documents and the pictures of the second."""
    facts = _load(folder)
    (docs / PICTURES).mkdir(parents=True, exist_ok=True)
    told = {precision: report.read(folder / f"run-{precision}" / "report.json") for precision in facts["precisions"]}
    climbs = {precision: climb for precision, (climb, _) in told.items()}
    facts["unsteady_clips"] = {name: margin for _, value in told.values() for name, margin in value.get("unsteady_clips", {}).items()}
    pictures = {precision: plots.make(found, docs / PICTURES) for precision, found in climbs.items()}
    (docs / "EXPORT_REPORT.md").write_text(export_report(facts), encoding="utf-8")
    (docs / "VALIDATION_REPORT_ORT.md").write_text(validation_report(folder, facts, climbs, pictures), encoding="utf-8")
