"""One step of the sampler as an ONNX graph, for languages without a port of the runtime. It knows no checkpoint."""
