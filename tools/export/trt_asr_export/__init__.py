"""Exports NeMo FastConformer-TDT models to the folders that trt-asr loads."""

from .from_nemo import export_nemo_layout, export_ours, export_sherpa_layout

__all__ = ["export_nemo_layout", "export_ours", "export_sherpa_layout"]
