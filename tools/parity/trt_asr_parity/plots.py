"""The same findings as pictures: error a stage, and drift over the chunks of a closed loop."""

from pathlib import Path

from .ladder import Climb
from .stages import STAGES


def _figure(width: float, height: float):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def _save(figure, path: Path) -> str:
    # Without its own metadata a picture of the same numbers is the same file.
    figure.savefig(path, dpi=80, metadata={"Software": None})
    return path.name


def errors(climb: Climb, path: Path) -> str:
    """Per stage and rung the largest error as a share of its tolerance."""
    figure = _figure(8, 3.6)
    axes = figure.subplots()
    shown = [s for s in STAGES if any("excess" in c.facts for c in climb.checks if c.stage == s)]
    width = 0.8 / max(len(climb.rungs), 1)
    for index, rung in enumerate(climb.rungs):
        heights = []
        for stage in shown:
            found = [c.facts["excess"] for c in climb.checks if (c.rung, c.stage) == (rung, stage) and "excess" in c.facts]
            heights.append(max(max(found, default=0.0), 1e-6))
        axes.bar([at + index * width for at in range(len(shown))], heights, width, label=rung)
    axes.axhline(1.0, color="black", linewidth=1, linestyle="--")
    axes.set_yscale("log")
    axes.set_xticks([at + width * (len(climb.rungs) - 1) / 2 for at in range(len(shown))], shown)
    axes.set_ylabel("largest error / tolerance")
    axes.set_title(f"{climb.precision}: error a stage (below the line: within tolerance)")
    axes.legend()
    return _save(figure, path)


def drift(climb: Climb, path: Path) -> str | None:
    """The largest error of every chunk; None when the model does not stream."""
    lines = [check for check in climb.checks if check.output == "drift" and check.facts.get("chunk_errors")]
    if not lines:
        return None
    figure = _figure(8, 3.6)
    axes = figure.subplots()
    for check in lines:
        heights = [max(error, 1e-12) for error in check.facts["chunk_errors"]]
        axes.plot(check.facts["chunks"], heights, marker=".", label=f"{check.rung}, {check.item}")
    axes.set_yscale("log")
    axes.set_xlabel("chunk")
    axes.set_ylabel("largest error")
    axes.set_title(f"{climb.precision}: closed loop, caches fed back")
    axes.legend()
    return _save(figure, path)


def make(climb: Climb, folder: Path) -> list[str]:
    names = [errors(climb, folder / f"error-{climb.precision}.png"), drift(climb, folder / f"drift-{climb.precision}.png")]
    return [name for name in names if name]
