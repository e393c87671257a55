"""Whether this CPU adds up products of unsigned activations and signed 8-bit weights as they are, which is asked of the
engine itself.
"""

import base64
from functools import cache

import numpy as np
import onnxruntime as ort

from amused_edge.runtime.engines.options import CPU_PROVIDER

_MODEL = base64.b64decode(
    "CAU6XAoYCgFhCgFiEgF5Ig1NYXRNdWxJbnRlZ2VyEgFnWhMKAWESDgoMCAISCAoCCAEKAggEWhMKAWISDgoMCAMSCAoCCAQKAggBYhMKAXkSDgoMCA"
    "YSCAoCCAEKAggBQgQKABAK"
)
"""ONNX: y (1, 1) int32 = MatMulInteger(a (1, 4) uint8, b (4, 1) int8)."""

_LARGEST = np.iinfo(np.uint8).max, np.iinfo(np.int8).max


@cache
def adds_signed_products_exactly() -> bool:
    """Multiply the largest codes: x86 CPUs without 8-bit dot products add them in pairs, in 16 bits that saturate."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(_MODEL, options, providers=[CPU_PROVIDER])
    activations, weights = np.full((1, 4), _LARGEST[0], np.uint8), np.full((4, 1), _LARGEST[1], np.int8)
    (found,) = session.run(None, {"a": activations, "b": weights})
    return int(found[0, 0]) == 4 * _LARGEST[0] * _LARGEST[1]
