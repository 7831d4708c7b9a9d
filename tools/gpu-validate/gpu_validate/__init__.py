"""Validation of the GPU path on the machine at hand. The standard library alone; torch and onnx where a step says so."""
