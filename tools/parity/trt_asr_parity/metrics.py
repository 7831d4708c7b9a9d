"""How far two answers are apart."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """|a - b| <= absolute + relative |b|, b being the lower side of the rung."""

    absolute: float
    relative: float


@dataclass(frozen=True)
class Distance:
    """Absolute errors over all values of one tensor; `excess` is the largest |a - b| / (absolute + relative |b|)."""

    values: int
    max: float
    p99: float
    p95: float
    p50: float
    cosine: float
    excess: float


def distance(upper: np.ndarray, lower: np.ndarray, tolerance: Tolerance) -> Distance:
    """Both of the same shape; a value that is not finite is infinitely far from everything."""
    a, b = upper.astype(np.float64).ravel(), lower.astype(np.float64).ravel()
    if a.size == 0:
        return Distance(0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    with np.errstate(invalid="ignore"):
        error = np.abs(a - b)
    error[~np.isfinite(error)] = np.inf
    limit = tolerance.absolute + tolerance.relative * np.abs(b)
    p99, p95, p50 = (float(v) for v in np.percentile(error, (99, 95, 50), method="higher"))
    with np.errstate(invalid="ignore"):
        excess = float(np.nan_to_num(error / limit, nan=np.inf, posinf=np.inf).max())
    return Distance(a.size, float(error.max()), p99, p95, p50, cosine(a, b), excess)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """1 for two vectors of one direction, and for two that are nothing but zeros."""
    product = float(np.linalg.norm(a) * np.linalg.norm(b))
    if product == 0.0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return float(a @ b) / product if np.isfinite(product) else float("nan")


def edits(found: list, wanted: list) -> int:
    """Insertions, deletions and substitutions from one sequence to the other."""
    row = list(range(len(wanted) + 1))
    for i, a in enumerate(found, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(wanted, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@dataclass(frozen=True)
class Drift:
    """The largest error of each chunk, and the line through them: error = at_begin + slope * chunk."""

    chunks: list[int]
    chunk_errors: list[float]
    slope: float
    at_begin: float

    @property
    def growth(self) -> float:
        """What the line gains from the first chunk to the last."""
        return self.slope * (self.chunks[-1] - self.chunks[0]) if self.chunks else 0.0


def drift(upper: np.ndarray, lower: np.ndarray, rows: list[int], chunks: list[int]) -> Drift:
    """`rows` frames of each kept chunk lie under one another; `chunks` are their numbers."""
    ends = np.cumsum(rows)
    error = np.abs(upper.astype(np.float64) - lower.astype(np.float64))
    errors = [float(error[end - count : end].max(initial=0.0)) for end, count in zip(ends, rows)]
    if len(errors) < 2 or not np.isfinite(errors).all():
        return Drift(chunks, errors, 0.0 if np.isfinite(errors).all() else float("inf"), errors[0] if errors else 0.0)
    slope, at_begin = np.polyfit(np.array(chunks, np.float64), np.array(errors), 1)
    return Drift(chunks, errors, float(slope), float(at_begin))
