"""Applies recipes to ONNX graphs."""
