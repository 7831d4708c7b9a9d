"""The report: a JSON file with everything, a table of what matters, and the verdict over both."""

import json
from pathlib import Path

STATUSES = ("pass", "fail", "skipped")


def step(status: str, reason: str = "", figures: dict | None = None, seconds: float = 0.0) -> dict:
    if status not in STATUSES:
        raise ValueError(f"no status {status!r}")
    return {"status": status, "reason": reason, "figures": figures or {}, "seconds": round(seconds, 3)}


def verdict(steps: dict[str, dict]) -> str:
    """fail where anything failed, skipped where nothing ran, else pass."""
    said = {one["status"] for one in steps.values()}
    return "fail" if "fail" in said else "pass" if "pass" in said else "skipped"


def parts(steps: dict[str, dict]) -> dict[str, dict]:
    """Steps by part; a step is named PART or PART.WHAT."""
    found: dict[str, dict] = {}
    for name, one in steps.items():
        found.setdefault(name.split(".")[0], {})[name] = one
    return {
        part: {
            "status": verdict(some),
            "reason": "; ".join(f"{name}: {one['reason']}" for name, one in some.items() if one["reason"]),
            "steps": some,
        }
        for part, some in found.items()
    }


def _number(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _probe(figures: dict) -> str:
    places = figures.get("places", [])
    told = [f"{one['figures'].get('tensorrt')}{' as ' + one['targets'] if one.get('targets') else ''}: "
            f"{'runs' if one['figures'].get('runs') else 'does not run'}" for one in places if one["figures"].get("tensorrt")]  # fmt: skip
    return ", ".join(told) or "no TensorRT"


def _kernels(figures: dict) -> str:
    names = [name for name in ("transducer", "search", "ctc", "check", "log_mel", "move_bytes") if name in figures]
    kinds = [f"{name} {figures[name]['cases']} cases, {figures[name]['failed']} differ" for name in names]
    return "; ".join([*kinds, f"{_number(figures.get('comparisons'))} comparisons"])


def _decode(figures: dict) -> str:
    calls, rows, rate = (_number(figures.get(key)) for key in ("calls", "rows_different", "token_edit_rate"))
    return f"{calls} chunks, {rows} rows differ, edit rate {rate}"


def _engines(figures: dict) -> str:
    graphs = [f"{one['graph']} {_number(one['build_s'])} s, {one['plan_bytes'] / 1e6:.1f} MB" for one in figures.get("graphs", [])]
    return "; ".join([*graphs, f"load {_number(figures.get('load_s'))} s"])


def _parity(figures: dict) -> str:
    stages = [f"{one['tensor']} cosine {_number(one['cosine_min'])}, error {one['error_max']:.1e}" for one in figures.get("stages", [])
              if one["tensor"] in ("encoded", "predicted", "logits")]  # fmt: skip
    ways = [f"{way.removeprefix('clips_')} {figures[way]['clips_exact']}/{figures[way]['clips']} clips, edit rate "
            f"{_number(figures[way]['token_edit_rate'])}" for way in figures if way.startswith("clips_")]  # fmt: skip
    return "; ".join(stages + ways)


def _throughput(figures: dict) -> str:
    return "; ".join(
        f"B{one['batch']}{' ' + one['search'] if one.get('search') else ''} {_number(one['rtfx'])}x, decode {one['decode_share']:.0%}, {_number(one['tokens_per_s'])} tokens/s, "
        f"{_number(one['counts'].get('device_claims_per_chunk'))} device claims"
        for one in figures.get("batches", [])
    )


def _latency(figures: dict) -> str:
    told = figures.get("utterances", [])
    return "; ".join(f"{one['sessions']} sessions p50 {_number(one['p50_ms'])} ms, p95 {_number(one['p95_ms'])} ms" for one in told)


def _recordings(figures: dict) -> str:
    return "; ".join(
        f"{_load(one)} {_number(one['rtfx'])}x, decode {one['decode_share']:.0%}, {_number(one['counts'].get('device_claims_per_chunk'))} "
        "device claims" for one in figures.get("loads", [])
    )  # fmt: skip


def _live(figures: dict) -> str:
    return "; ".join(
        f"{_load(one)} window p50 {_number(one['window_p50_ms'])} ms, p95 {_number(one['window_p95_ms'])} ms, end p50 "
        f"{_number(one['end_p50_ms'])} ms, p95 {_number(one['end_p95_ms'])} ms" for one in figures.get("loads", [])
    )  # fmt: skip


def _load(one: dict) -> str:
    return f"{one['sessions']} sessions on {one['lanes']} x B{one['batch_max']}"


def _streaming(figures: dict) -> str:
    return "; ".join(
        f"B{one['batch_max']} {one['chunks_same']}/{one['chunks']} chunks, edit rate {_number(one['token_edit_rate'])}"
        for one in figures.get("runs", [])
    )


def _sanitizer(figures: dict) -> str:
    return (figures.get("said") or ["nothing said"])[-1].strip("= ")


def _torch(figures: dict) -> str:
    told = figures.get("batches", [])
    return "; ".join(f"B{one['batch']} encoder {_number(one['encoder_ms'])} ms, {_number(one['rtfx'])}x" for one in told)


SUMMARIES = {
    "probe": _probe, "kernels": _kernels, "decode": _decode, "engines": _engines, "parity": _parity, "throughput": _throughput,
    "latency": _latency, "torch": _torch, "recordings": _recordings, "live": _live, "streaming": _streaming, "sanitizer": _sanitizer,
    "bridge.decode": _decode, "bridge.parity": _parity, "bridge.streaming": _streaming,
}  # fmt: skip


def summary(name: str, one: dict) -> str:
    """What the table says of a step: its figures, or why there are none."""
    told = SUMMARIES.get(name) or SUMMARIES.get(name.split(".")[0])
    figures = told(one["figures"]) if told and one["figures"] and one["status"] != "skipped" else ""
    return " - ".join(text for text in (figures, one["reason"]) if text)


def table(document: dict) -> str:
    machine = document["machine"]
    lines = [
        "# GPU validation",
        "",
        f"{document['status']}. {machine.get('gpu') or 'no GPU'}; {machine.get('system')}; commit {machine.get('commit') or 'unknown'}.",
    ]
    if document.get("stand_ins"):
        lines += ["", "The GPU and TensorRT are stand-ins on the host: the figures say nothing of a GPU."]
    if document.get("reason"):
        lines += ["", document["reason"]]
    lines += ["", "| step | status | s | |", "|---|---|---|---|"]
    for part in document["parts"].values():
        for name, one in part["steps"].items():
            text = summary(name, one).replace("|", "/").replace("\n", " ")
            lines.append(f"| {name} | {one['status']} | {one['seconds']:.1f} | {text[:600]} |")
    return "\n".join(lines) + "\n"


def write(folder: Path, machine: dict, steps: dict[str, dict], reason: str = "", status: str | None = None) -> dict:
    """Writes gpu-validate.json and gpu-validate.md and returns the document."""
    text = json.dumps(steps) + str(machine.get("gpu"))
    document = {
        "schema": "trt-asr-gpu-validate/1", "status": status or verdict(steps), "reason": reason, "machine": machine,
        "stand_ins": "Stand-in GPU" in text, "parts": parts(steps),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu-validate.json").write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / "gpu-validate.md").write_text(table(document), encoding="utf-8")
    return document
