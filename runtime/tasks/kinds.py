"""What is to be drawn. A task gives the prompts and the start state; how the loop runs is in the options."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypedDict, Unpack

import numpy as np
from PIL import Image

from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.checks import choice, whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.pictures.masks import COVERAGES, Coverage
from amused_edge.runtime.pictures.sources import FITS, Fit, ImageSource, read_image, read_mask
from amused_edge.runtime.tasks import given
from amused_edge.runtime.tasks.embeddings import Prompt

_PICTURE_LIMIT = 2**64
_COUNT_LIMIT = 100_000
_FEATHER_LIMIT = 256
_CANVAS_LIMIT = 2**14
"""Pixels of a side, of a picture with its margins."""


class Common(TypedDict, total=False):
    """What every task may be given beside its own; the meaning and what is taken where it is left out are `Task`'s."""

    negative_prompts: Prompt | Sequence[Prompt]
    pictures_per_prompt: int
    first_picture: int
    micro_conditioning: MicroConditioning | None


class _Shared(TypedDict):
    """The same and the prompts, checked: the fields of `Task`."""

    prompts: tuple[Prompt, ...]
    negative_prompts: tuple[Prompt, ...]
    pictures_per_prompt: int
    first_picture: int
    micro_conditioning: MicroConditioning | None


@dataclass(frozen=True)
class Task:
    """What all tasks share; use one of its kinds.

    Attributes
    ----------
    prompts
        One prompt or several, texts or embeddings. "" is a prompt like any other.
    negative_prompts
        What guidance steers away from: one for all prompts, or one per prompt.
    pictures_per_prompt
        1 or more. Pictures come in the order of prompts: all of the first prompt, then all of the second.
    first_picture
        Index, from 0, of each prompt's first picture. Picture k of a prompt is the same whether drawn alone
        (`first_picture=k`) or among others.
    micro_conditioning
        Crop and aesthetic score that the model is told; None takes the bundle's.
    """

    prompts: tuple[Prompt, ...]
    negative_prompts: tuple[Prompt, ...]
    pictures_per_prompt: int
    first_picture: int
    micro_conditioning: MicroConditioning | None

    kind: ClassVar[str]
    """Its name in files."""

    sources: ClassVar[tuple[str, ...]] = ()
    """What it is given beside its prompt, of which files hold the hashes: `image` has `images` and `image_hashes`."""

    own: ClassVar[tuple[str, ...]] = ()
    """Attributes that are plain values, which this kind alone has."""

    def pictures(self) -> list[tuple[int, int]]:
        """Return (index of the prompt, index of the picture within its prompt) for every picture, in order."""
        first = self.first_picture
        return [
            (prompt, picture)
            for prompt in range(len(self.prompts))
            for picture in range(first, first + self.pictures_per_prompt)
        ]

    def single(self, prompt: int, picture: int) -> Self:
        """Return the task of one of the pictures alone, given as `pictures` gives it."""
        per_prompt = ["prompts", "negative_prompts"]
        for name in self.sources:
            per_prompt += [f"{name}s", f"{name}_hashes"]
        one = copy.copy(self)
        vars(one).update(pictures_per_prompt=1, first_picture=picture)
        vars(one).update({name: (getattr(self, name)[prompt],) for name in per_prompt})
        return one


@dataclass(frozen=True, init=False)
class TextToImage(Task):
    """Pictures from text, all tokens masked at the start."""

    kind = "text_to_image"

    def __init__(
        self,
        prompts: Prompt | Sequence[Prompt],
        negative_prompts: Prompt | Sequence[Prompt] = "",
        pictures_per_prompt: int = 1,
        first_picture: int = 0,
        micro_conditioning: MicroConditioning | None = None,
    ) -> None:
        super().__init__(**_shared(prompts, negative_prompts, pictures_per_prompt, first_picture, micro_conditioning))


@dataclass(frozen=True)
class PictureTask(Task):
    """What tasks share that start from a picture; use one of its kinds.

    Attributes
    ----------
    images
        One for all prompts, or one per prompt.
    strength
        Share of the steps that run, 0 to 1.
    fit
        How the picture is brought to the bundle's size: "crop", "pad", "stretch", or "exact": not at all.
    """

    images: tuple[Image.Image, ...] = field(compare=False)  # their hashes are compared
    strength: float
    fit: Fit
    image_hashes: tuple[str, ...]

    sources: ClassVar[tuple[str, ...]] = ("image",)
    own: ClassVar[tuple[str, ...]] = ("strength", "fit")


@dataclass(frozen=True, init=False)
class Variation(PictureTask):
    """Pictures from text and a picture (image to image): a share of its tokens is masked at random and drawn anew.

    Attributes
    ----------
    images, fit
        As in `PictureTask`.
    strength
        Share of the steps that run, 0 to 1; the later a run starts, the fewer tokens are masked. At 1 all are, and
        at 0, or too little for one step, the picture only passes through the VQ-GAN.
    """

    kind = "variation"

    def __init__(
        self,
        prompts: Prompt | Sequence[Prompt],
        images: ImageSource | Sequence[ImageSource],
        strength: float = 0.5,
        *,
        fit: Fit = "crop",
        **common: Unpack[Common],
    ) -> None:
        shared = _shared(prompts, **common)
        pictures = tuple(read_image(source) for source in given.sources(images))
        super().__init__(
            **shared,
            images=given.for_each(shared["prompts"], "images", pictures),
            image_hashes=given.for_each(shared["prompts"], "images", given.hashes(pictures)),
            strength=given.strength(strength),
            fit=choice("fit", fit, FITS),
        )


@dataclass(frozen=True)
class _MaskedTask(PictureTask):
    """The fields of `Inpainting`."""

    masks: tuple[Image.Image, ...] = field(compare=False)
    coverage: Coverage
    paste_back: bool
    feather: int
    mask_hashes: tuple[str, ...]


@dataclass(frozen=True, init=False)
class Inpainting(_MaskedTask):
    """Part of a picture drawn anew.

    Attributes
    ----------
    images
        One for all prompts, or one per prompt.
    masks
        Of their image's size, bright where it is to be repainted: one for all images, or one per image.
    strength
        Share of the steps that run, above 0 to 1. All that the mask covers is masked at the start whatever it is:
        less than 1 leaves out the early steps, and is faster.
    fit
        How picture and mask are brought to the bundle's size, as in `PictureTask`.
    coverage
        Tokens that are drawn anew: covered by "half" or more, or by "any" pixel of the mask.
    paste_back
        Put the picture's own pixels where the mask is dark. Without, the whole picture passes through the VQ-GAN.
    feather
        Pixels, 0 to 256, over which the pasted picture fades into the new part.
    """

    kind = "inpainting"
    sources = ("image", "mask")
    own = (*PictureTask.own, "coverage", "paste_back", "feather")

    def __init__(
        self,
        prompts: Prompt | Sequence[Prompt],
        images: ImageSource | Sequence[ImageSource],
        masks: ImageSource | Sequence[ImageSource],
        strength: float = 1.0,
        *,
        fit: Fit = "crop",
        coverage: Coverage = "half",
        paste_back: bool = True,
        feather: int = 0,
        **common: Unpack[Common],
    ) -> None:
        shared = _shared(prompts, **common)
        originals = tuple(read_image(source) for source in given.sources(images))
        stencils = tuple(read_mask(source) for source in given.sources(masks))
        pictures = given.for_each(shared["prompts"], "images", originals)
        covers = given.for_each(shared["prompts"], "masks", stencils)
        given.check_sizes(pictures, covers)
        super().__init__(
            **shared,
            images=pictures,
            image_hashes=given.for_each(shared["prompts"], "images", given.hashes(originals)),
            masks=covers,
            mask_hashes=given.for_each(shared["prompts"], "masks", given.hashes(stencils)),
            strength=given.strength(strength),
            fit=choice("fit", fit, FITS),
            coverage=choice("coverage", coverage, COVERAGES),
            paste_back=bool(paste_back),
            feather=whole_number("feather", feather, minimum=0, maximum=_FEATHER_LIMIT),
        )


KINDS: dict[str, type[TextToImage | Variation | Inpainting]] = {
    build.kind: build for build in (TextToImage, Variation, Inpainting)
}


def outpainting(
    prompts: Prompt | Sequence[Prompt],
    image: ImageSource,
    *,
    left: int = 0,
    top: int = 0,
    right: int = 0,
    bottom: int = 0,
    strength: float = 1.0,
    feather: int = 0,
    **common: Unpack[Common],
) -> Inpainting:
    """Return the task that draws around a picture: `left`, `top`, `right` and `bottom` pixels of new canvas.

    Picture and margins together must have the proportions of the bundle's pictures, to whose size they are brought.
    """
    picture = read_image(image)
    margins = {"left": left, "top": top, "right": right, "bottom": bottom}
    left, top, right, bottom = (
        whole_number(name, value, minimum=0, maximum=_CANVAS_LIMIT) for name, value in margins.items()
    )
    width, height = picture.width + left + right, picture.height + top + bottom
    if max(width, height) > _CANVAS_LIMIT:
        raise OptionsError(f"the canvas has {width}x{height} pixels; each side may have {_CANVAS_LIMIT}")
    pads = ((top, bottom), (left, right))
    canvas = np.pad(np.asarray(picture), (*pads, (0, 0)), mode="edge")
    mask = np.pad(np.zeros((picture.height, picture.width), np.uint8), pads, constant_values=255)
    return Inpainting(prompts, canvas, mask, strength, fit="exact", coverage="any", feather=feather, **common)


def _shared(
    prompts: Prompt | Sequence[Prompt],
    negative_prompts: Prompt | Sequence[Prompt] = "",
    pictures_per_prompt: int = 1,
    first_picture: int = 0,
    micro_conditioning: MicroConditioning | None = None,
) -> _Shared:
    """Check what all tasks share."""
    texts = given.prompts("prompt", prompts)
    count = whole_number("pictures_per_prompt", pictures_per_prompt, minimum=1, maximum=_COUNT_LIMIT)
    if micro_conditioning is not None and not isinstance(micro_conditioning, MicroConditioning):
        raise OptionsError(f"micro_conditioning is {quoted(micro_conditioning)}; give a MicroConditioning")
    first = whole_number("first_picture", first_picture, minimum=0)
    if first + count > _PICTURE_LIMIT:
        raise OptionsError(f"picture {first + count - 1} was asked for; indices of pictures are below 2^64")
    return {
        "prompts": texts,
        "negative_prompts": given.for_each(
            texts, "negative prompts", given.prompts("negative prompt", negative_prompts)
        ),
        "pictures_per_prompt": count,
        "first_picture": first,
        "micro_conditioning": micro_conditioning,
    }
