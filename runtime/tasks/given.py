"""Checks of what a task is given: each raises `OptionsError`, which names the value."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from PIL import Image

from amused_edge.runtime.checks import check_text, real_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.pictures.sources import ImageSource
from amused_edge.runtime.tasks.embeddings import Prompt

T = TypeVar("T")


def check_sizes(pictures: Sequence[Image.Image], masks: Sequence[Image.Image]) -> None:
    """Raise `OptionsError` if a mask has not its picture's size."""
    for picture, mask in zip(pictures, masks, strict=True):
        if picture.size != mask.size:
            raise OptionsError(
                f"the mask has {mask.width}x{mask.height} pixels, its picture {picture.width}x{picture.height}; "
                "give a mask of the picture's size"
            )


def hashes(images: Sequence[Image.Image]) -> tuple[str, ...]:
    """Return a hash of each picture's size and pixels."""
    return tuple(
        hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest() for image in images
    )


def prompts(name: str, value: object) -> tuple[Prompt, ...]:
    """Return one prompt or several as a tuple."""
    texts = (value,) if isinstance(value, Prompt) else value
    if not isinstance(texts, Sequence) or isinstance(texts, bytes):
        raise OptionsError(f"{name} is {quoted(value)}; it must be a string or a list of strings")
    if not texts:
        raise OptionsError(f"no {name} was given; give at least one")
    for prompt in texts:
        if not isinstance(prompt, Prompt):
            raise OptionsError(f"{name} is {quoted(prompt)}; it must be a string")
        if isinstance(prompt, str):
            check_text(prompt)
    return tuple(texts)


def for_each(prompts: Sequence[Prompt], name: str, values: tuple[T, ...]) -> tuple[T, ...]:
    """Repeat a single value for all prompts."""
    if len(values) == 1:
        return values * len(prompts)
    if len(values) != len(prompts):
        raise OptionsError(f"{len(values)} {name} for {len(prompts)} prompts; give one for all, or one per prompt")
    return values


def sources(value: ImageSource | Sequence[ImageSource]) -> Sequence[ImageSource]:
    """Return one picture or several as a sequence."""
    return value if isinstance(value, list | tuple) else [value]  # type: ignore[list-item]


def strength(value: object) -> float:
    """Return a share of the steps, 0 to 1."""
    share = real_number("strength", value)
    if share > 1.0:
        raise OptionsError(f"strength is {share:g}; it must be between 0 and 1")
    return share
