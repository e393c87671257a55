"""Types of the arrays that flow through the house."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ImageArray = NDArray[np.uint8]
"""(H, W, 3) or (B, H, W, 3), RGB."""
