"""The parity ladder: NeMo -> our PyTorch modules -> the exported ONNX graphs, compared stage by stage."""

__version__ = "0.1.0"
