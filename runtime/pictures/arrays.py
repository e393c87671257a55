"""The type of a picture, or of several."""

import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]
"""(H, W, 3) or (B, H, W, 3), RGB."""
