"""Seeded numbers, so that an input need not be stored to be known, and the hash of an array."""

import hashlib

import numpy as np
from trt_asr_export.seeded import integers, normal

__all__ = ["integers", "normal", "sha256_of"]


def sha256_of(array: np.ndarray) -> str:
    """The digest of dtype, shape and little-endian bytes."""
    plain = np.ascontiguousarray(array)
    plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    head = f"{plain.dtype.name} {list(plain.shape)} ".encode()
    return hashlib.sha256(head + plain.tobytes()).hexdigest()
