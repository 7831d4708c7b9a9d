"""What a checkpoint is, told by a hash that does not depend on how it was packed: the one that an export's model_meta.json names."""

import tempfile
from pathlib import Path

from trt_asr_export.archive import opened
from trt_asr_export.export import weights_digest


def digest(path: Path) -> str:
    """The hash of the weights of a .nemo archive, 64 hex digits."""
    with tempfile.TemporaryDirectory() as scratch, opened(path, Path(scratch)) as archive:
        return weights_digest(archive)
