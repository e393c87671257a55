"""Which ONNX graphs are written in."""

OPSET = 20
"""The newest with Gelu (20) and without what a year-old phone build of ONNX Runtime lacks."""

IR_VERSION = 10
