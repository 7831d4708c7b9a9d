"""The random models that the committed references are about: one a branch of every architecture that the exporter knows."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from trt_asr_export.export import export_model
from trt_asr_export.options import ExportOptions
from trt_asr_export.random_model import write_random_archive

from . import items
from .audio import SHORT_CLIPS

SEED = 42


@dataclass(frozen=True)
class Variant:
    """`kind` and `seed` make the archive, `options` the export; `size` is what is asked."""

    name: str
    kind: str
    options: dict = field(default_factory=dict)
    seed: int = SEED
    size: items.Size = items.SIZES["small"]

    def write_archive(self, path: Path) -> None:
        write_random_archive(path, self.kind, self.seed)

    def export(self, archive: Path, folder: Path, precision: str = "fp32") -> None:
        export_model(archive, folder, ExportOptions(name=self.name, precision=precision, **self.options))


_SMALL = items.SIZES["small"]
# WHY the longest: the shorter ones have no more than two tokens in these models.
_ONE_CLIP = replace(_SMALL, clips=SHORT_CLIPS[2:])
# SOURCE: the streaming encoder of the predecessor: cache 256, nothing dropped from it, chunks of 592 frames, 50 chunks.
_STREAMED_TDT = {"chunk_frames": "592", "cache_size": 256, "cache_drop_size": 0}

VARIANTS = (
    Variant("tdt", "tdt", _STREAMED_TDT, size=replace(_SMALL, clips=SHORT_CLIPS, feature_clips=1, stream_chunks=(50,))),
    Variant("tdt-folded", "tdt", {"fold_joint": True}, size=_ONE_CLIP),
    Variant("rnnt", "rnnt"),
    Variant("ctc", "ctc", size=replace(_SMALL, feature_clips=1)),
    Variant("hybrid-transducer", "hybrid_tdt", {"branch": "transducer"}, size=_ONE_CLIP),
    Variant("hybrid-ctc", "hybrid_rnnt", {"branch": "ctc"}, size=_ONE_CLIP),
    Variant("cache-aware-ctc", "cache_aware_ctc"),
    Variant("cache-aware-rnnt", "cache_aware_rnnt", size=replace(_SMALL, stream_chunks=(50,))),
)


def named(names: list[str]) -> list[Variant]:
    """The variants of these names; all when there are none."""
    return [variant for variant in VARIANTS if not names or variant.name in names]
