"""Runs exported graphs."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch

from amused_edge.runtime.engines.options import CPU_PROVIDER


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in ir.load(path).graph)


def run(path: Path, feeds: dict[str, torch.Tensor]) -> np.ndarray[Any, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=[CPU_PROVIDER])
    result: np.ndarray[Any, Any] = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    return result
