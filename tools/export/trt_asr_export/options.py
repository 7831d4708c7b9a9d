"""What a user may choose."""

from dataclasses import dataclass

from .config import ModelConfig
from .errors import ExportError, require_in

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class ExportOptions:
    """The options of `trt-asr-export`; None is the checkpoint's own default. See README.md for their meaning."""

    precision: str = "fp32"
    branch: str | None = None
    streaming: bool | None = None
    streaming_only: bool = False
    attention_context: tuple[int, int] | None = None
    chunk_frames: str | None = None
    cache_size: int | None = None
    cache_drop_size: int | None = None
    fold_joint: bool = False
    name: str | None = None
    languages: tuple[str, ...] = ("en",)
    license: str = "Apache-2.0"
    force: bool = False

    def branch_of(self, config: ModelConfig) -> str:
        """The branch to export: 'transducer' or 'ctc'."""
        branch = self.branch or config.branches[0]
        require_in("--branch", config.branches, branch)
        if self.fold_joint and branch == "ctc":
            raise ExportError(
                "--fold-joint", "a transducer", "the ctc branch, which has no joint", "Leave the option out"
            )
        encoder = config.encoder
        if branch == "transducer" and not self.fold_joint and encoder.output_width != encoder.width:
            remedy = "Pass --fold-joint: then the encoder's graph ends with the joint's width"
            raise ExportError("encoder.feat_out", f"d_model, {encoder.width}", str(encoder.output_width), remedy)
        return branch

    def context_of(self, config: ModelConfig) -> tuple[int, int]:
        """The attention context to export with."""
        context = self.attention_context or config.encoder.contexts[0]
        require_in("--attention-context", config.encoder.contexts, tuple(context))
        return tuple(context)

    def streams(self, config: ModelConfig) -> bool:
        """Whether a streaming graph is written, beside the offline one or (streaming_only) alone."""
        asked = (self.chunk_frames, self.cache_size, self.cache_drop_size) != (None, None, None)
        if self.streaming is False and (asked or self.streaming_only):
            raise ExportError("--no-streaming", "no streaming options beside it", "some", "Leave one or the other out")
        if self.streaming_only:
            return True
        return self.streaming if self.streaming is not None else asked or config.encoder.cache_aware
