"""What a task's own picture means for a bundle: the tokens that a run starts from, the pixels put back at its end."""

from collections.abc import Callable
from warnings import warn

import numpy as np
from PIL import Image

from amused_edge.runtime import start
from amused_edge.runtime.errors import AmusedEdgeWarning
from amused_edge.runtime.manifest import Geometry
from amused_edge.runtime.options import SamplerSettings
from amused_edge.runtime.pictures.arrays import ImageArray
from amused_edge.runtime.pictures.masks import paste_back, pixel_mask, token_mask
from amused_edge.runtime.pictures.sources import Fit, fit_image
from amused_edge.runtime.sampler import BoolArray, IntArray
from amused_edge.runtime.start import Start
from amused_edge.runtime.tasks import Inpainting, Task, Variation


class Canvas:
    """Pictures and masks of tasks in a bundle's size. Several threads may use it.

    Parameters
    ----------
    encode
        Pictures (B, H, W, 3) uint8 -> tokens (B, h, w) int64.
    """

    def __init__(self, geometry: Geometry, encode: Callable[[ImageArray], IntArray]) -> None:
        self._geometry = geometry
        self._encode = encode
        self._encoded: tuple[Image.Image, Fit, IntArray] | None = None

    def start(self, task: Task, seed: int, settings: SamplerSettings) -> Start:
        """Return where the task of one picture starts; warns with `AmusedEdgeWarning` if there is nothing to draw."""
        mask_id = self._geometry.mask_token_id
        if isinstance(task, Variation):
            tokens = self._tokens(task.images[0], task.fit)
            return start.variation(tokens, task.strength, settings, mask_id, seed=seed, picture=task.first_picture)
        if isinstance(task, Inpainting):
            repaint = self._repaint(task)
            if not repaint.any():
                warn("the mask covers no token: there is nothing to draw", AmusedEdgeWarning, stacklevel=2)
            tokens = self._tokens(task.images[0], task.fit)
            return start.inpainting(tokens, repaint, task.strength, settings, mask_id)
        return start.all_masked(self._geometry)

    def finish(self, task: Task, decode: Callable[[], ImageArray]) -> ImageArray:
        """Return a task's picture (H, W, 3): what `decode` gives, with its own pixels where the task keeps them."""
        if not isinstance(task, Inpainting):
            return decode()
        original = self._fitted(task.images[0], task.fit)
        if not self._repaint(task).any():
            return original
        if not task.paste_back:
            return decode()
        mask = Image.fromarray(self._fitted(task.masks[0], task.fit))
        return paste_back(decode(), original, pixel_mask(mask), task.feather)

    def _tokens(self, image: Image.Image, fit: Fit) -> IntArray:
        """Encode a picture; the last one is remembered, because the pictures of a task share it."""
        last = self._encoded
        if last is None or last[0] is not image or last[1] != fit:
            self._encoded = last = (image, fit, self._encode(self._fitted(image, fit)[None])[0])
        return last[2]

    def _repaint(self, task: Inpainting) -> BoolArray:
        mask = Image.fromarray(self._fitted(task.masks[0], task.fit))
        return token_mask(mask, self._geometry.grid_height, self._geometry.grid_width, task.coverage)

    def _fitted(self, image: Image.Image, how: Fit) -> ImageArray:
        return np.asarray(fit_image(image, self._geometry.image_width, self._geometry.image_height, how))
