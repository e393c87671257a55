"""ONNX Runtime: sessions, their files, what is prepared for a CPU."""
