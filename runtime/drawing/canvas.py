"""What a task's own picture means for a bundle: the tokens that a run starts from, the pixels put back at its end."""

from collections.abc import Callable
from functools import partial
from warnings import warn

import numpy as np
from PIL import Image

from amused_edge.runtime.arrays import BoolArray, ImageArray, IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.drawing import starts
from amused_edge.runtime.drawing.remembered import Remembered
from amused_edge.runtime.drawing.starts import Start
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.errors import AmusedEdgeWarning
from amused_edge.runtime.pictures.masks import paste_back, pixel_mask, token_mask
from amused_edge.runtime.pictures.sources import Fit, check_proportions, fit_image
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.kinds import Inpainting, PictureTask, Task, Variation

Encode = Callable[[ImageArray, Cancellation | None], IntArray]
"""Pictures (B, H, W, 3) uint8 -> tokens (B, h, w) int64."""


class Canvas:
    """Pictures and masks of tasks in a bundle's size. Several threads may use it."""

    def __init__(self, geometry: Geometry, encode: Encode) -> None:
        self._geometry = geometry
        self._encode = encode
        self._fitted = Remembered[ImageArray](2)  # the pictures of a task share their image and mask
        self._tokens = Remembered[IntArray](1)

    def begin(
        self, task: Task, seed: int, settings: SamplerSettings, cancellation: Cancellation | None = None
    ) -> Start:
        """Return where the task of one picture starts; warns with `AmusedEdgeWarning` if there is nothing to draw."""
        mask_id = self._geometry.mask_token_id
        if isinstance(task, Variation):
            tokens = self._image_tokens(task, cancellation)
            return starts.variation(tokens, task.strength, settings, mask_id, seed=seed, picture=task.first_picture)
        if isinstance(task, Inpainting):
            repaint = self._repaint(task)
            if not repaint.any():
                warn("the mask covers no token: there is nothing to draw", AmusedEdgeWarning, stacklevel=2)
            encode = partial(self._image_tokens, task, cancellation)
            return starts.inpainting(encode, repaint, task.strength, settings, mask_id)
        return starts.all_masked(self._geometry)

    def finish(self, task: Task, decode: Callable[[], ImageArray]) -> ImageArray:
        """Return a task's picture (H, W, 3): what `decode` gives, with its own pixels where the task keeps them."""
        if not isinstance(task, Inpainting):
            return decode()
        original = self._image(task)
        if not self._repaint(task).any():
            return original
        if not task.paste_back:
            return decode()
        return paste_back(decode(), original, pixel_mask(Image.fromarray(self._mask(task))), task.feather)

    def check(self, task: Task) -> None:
        """Raise `OptionsError` if a picture of a task cannot be brought to the bundle's size."""
        if isinstance(task, PictureTask) and task.fit == "exact":
            for image in task.images:
                check_proportions(image, self._geometry.image_width, self._geometry.image_height)

    def close(self) -> None:
        """Drop what is remembered, and remember nothing more."""
        self._fitted.close()
        self._tokens.close()

    def _image_tokens(self, task: PictureTask, cancellation: Cancellation | None) -> IntArray:
        key = (task.image_hashes[0], task.fit)
        known = self._tokens.get(key)
        if known is None:
            known = self._encode(self._image(task)[None], cancellation)[0]
            known.flags.writeable = False  # pictures that are finished at once hand it out
            self._tokens.put(key, known)
        return known

    def _repaint(self, task: Inpainting) -> BoolArray:
        mask = Image.fromarray(self._mask(task))
        return token_mask(mask, self._geometry.grid_height, self._geometry.grid_width, task.coverage)

    def _image(self, task: PictureTask) -> ImageArray:
        return self._fit(task.images[0], task.image_hashes[0], task.fit)

    def _mask(self, task: Inpainting) -> ImageArray:
        return self._fit(task.masks[0], task.mask_hashes[0], task.fit)

    def _fit(self, image: Image.Image, sha256: str, how: Fit) -> ImageArray:
        known = self._fitted.get((sha256, how))
        if known is not None:
            return known
        g = self._geometry
        return self._fitted.put((sha256, how), np.asarray(fit_image(image, g.image_width, g.image_height, how)))
