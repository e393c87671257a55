"""Finished pictures and what they were drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amused_edge.runtime.arrays import FloatArray, ImageArray, IntArray
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.embeddings import Prompt
from amused_edge.runtime.tasks.kinds import Task
from amused_edge.runtime.tasks.parameters import PictureParameters


@dataclass(frozen=True, eq=False)
class Picture:
    """One finished picture.

    Attributes
    ----------
    image
        (H, W, 3) uint8 RGB.
    tokens
        (h, w) int64.
    probability
        (h, w) float32, as in `Step`: how sure the model was of each token.
    prompt
        Its text or embeddings.
    parameters
        All that it was drawn from.
    """

    image: ImageArray
    tokens: IntArray
    probability: FloatArray
    prompt: Prompt
    parameters: PictureParameters


@dataclass(frozen=True, eq=False)
class GenerationResult:
    """Finished pictures, B of them.

    Attributes
    ----------
    images
        (B, H, W, 3) uint8 RGB.
    tokens
        (B, h, w) int64.
    probability
        (B, h, w) float32, as in `Step`.
    prompts
        Of each picture.
    pictures
        Index of each picture within its prompt.
    seed, settings
        What they were drawn with.
    parameters
        The same and more, of each picture.
    """

    images: ImageArray
    tokens: IntArray
    probability: FloatArray
    prompts: tuple[Prompt, ...]
    pictures: tuple[int, ...]
    seed: int
    settings: SamplerSettings
    parameters: tuple[PictureParameters, ...]

    @staticmethod
    def of(task: Task, pictures: Sequence[Picture], seed: int, settings: SamplerSettings) -> "GenerationResult":
        """Put a task's pictures together."""
        return GenerationResult(
            images=np.stack([picture.image for picture in pictures]),
            tokens=np.stack([picture.tokens for picture in pictures]),
            probability=np.stack([picture.probability for picture in pictures]),
            prompts=tuple(picture.prompt for picture in pictures),
            pictures=tuple(picture for _, picture in task.pictures()),
            seed=seed,
            settings=settings,
            parameters=tuple(picture.parameters for picture in pictures),
        )
