"""Turns NeMo FastConformer checkpoints into the model folders that trt-asr loads, without NeMo.

from trt_asr_export import ExportOptions, export_model
contract = export_model("model.nemo", "out", ExportOptions(precision="int8"))
"""

from .errors import ExportError
from .options import ExportOptions

__version__ = "0.3.0"
__all__ = ["ExportError", "ExportOptions", "export_model"]


def export_model(nemo_path, out_dir, options: ExportOptions = ExportOptions()) -> dict:
    """See trt_asr_export.export.export_model; imported late, because torch takes seconds."""
    from .export import export_model as implementation

    return implementation(nemo_path, out_dir, options)
