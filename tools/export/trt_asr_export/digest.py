"""The hash that contracts, reports and goldens name files by."""

import hashlib
from pathlib import Path

BLOCK_BYTES = 1 << 20


def sha256_hex(path: Path) -> str:
    """SHA-256 of the file's bytes, in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
