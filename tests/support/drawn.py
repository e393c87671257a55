"""What the tests of the demo bundle's pipeline share."""

from typing import Any

import numpy as np

from amused_edge.runtime import GenerationOptions

PROMPT, OTHER = "a flat icon of a fox on a blue background", "a drawing of a panda on a yellow background"
QUICK = GenerationOptions(seed=3, steps=4)
SIDE = 64


def right_half() -> Any:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, SIDE // 2 :] = 255
    return mask
