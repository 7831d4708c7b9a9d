"""Seeded numbers that are the same on every machine: neither threads, nor vector units, nor versions of torch or NumPy change a bit."""

import hashlib

import numpy as np

# WHY: twelve uniform numbers add up to a variance of exactly 1, and a sum needs no library for logarithms whose last
# bit differs between machines.
UNIFORMS_A_NORMAL = 12
RAW_BITS_DROPPED = 11
RAW_SCALE = 2.0**-53


def _source(seed: int, stream: str) -> np.random.PCG64:
    """One bit source a stream; NumPy promises that PCG64's raw output never changes, which it does not of its distributions."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return np.random.PCG64(int.from_bytes(digest[:16], "little"))


def _unit(source: np.random.PCG64, count: int) -> np.ndarray:
    return (source.random_raw(count) >> np.uint64(RAW_BITS_DROPPED)).astype(np.float64) * RAW_SCALE


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def uniform(seed: int, stream: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """float32 numbers in [low, high)."""
    return (low + (high - low) * _unit(_source(seed, stream), _count(shape))).astype(np.float32).reshape(shape)


def normal(seed: int, stream: str, shape: tuple[int, ...], deviation: float = 1.0) -> np.ndarray:
    """float32 numbers of mean 0 and the given deviation."""
    source, total = _source(seed, stream), np.zeros(_count(shape))
    for _ in range(UNIFORMS_A_NORMAL):
        total += _unit(source, total.size)
    return ((total - UNIFORMS_A_NORMAL / 2) * deviation).astype(np.float32).reshape(shape)


def integers(seed: int, stream: str, shape: tuple[int, ...], end: int) -> np.ndarray:
    """int64 numbers in [0, end)."""
    return np.floor(_unit(_source(seed, stream), _count(shape)) * end).astype(np.int64).reshape(shape)
