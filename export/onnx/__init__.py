"""Writes graphs for ONNX Runtime."""
