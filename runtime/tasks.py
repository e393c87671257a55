"""What is to be drawn. A task gives the prompts and the start state; how the loop runs is in the options."""

from collections.abc import Sequence
from dataclasses import dataclass

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.options import whole_number

_PICTURE_LIMIT = 2**64


@dataclass(frozen=True)
class TextToImage:
    """Pictures from text, all tokens masked at the start.

    Attributes
    ----------
    prompts
        One prompt or several. "" is a prompt like any other.
    negative_prompts
        What guidance steers away from: one for all prompts, or one per prompt.
    pictures_per_prompt
        1 or more. Pictures come in the order of prompts: all of the first prompt, then all of the second.
    first_picture
        Index, from 0, of each prompt's first picture. Picture k of a prompt is the same whether drawn alone
        (`first_picture=k`) or among others.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...] = ("",)
    pictures_per_prompt: int = 1
    first_picture: int = 0

    def __init__(
        self,
        prompts: str | Sequence[str],
        negative_prompts: str | Sequence[str] = "",
        pictures_per_prompt: int = 1,
        first_picture: int = 0,
    ) -> None:
        texts = _texts("prompt", prompts)
        negatives = _texts("negative prompt", negative_prompts)
        if len(negatives) == 1:
            negatives *= len(texts)
        if len(negatives) != len(texts):
            raise OptionsError(
                f"{len(negatives)} negative prompts for {len(texts)} prompts; give one for all, or one per prompt"
            )
        object.__setattr__(self, "prompts", texts)
        object.__setattr__(self, "negative_prompts", negatives)
        count = whole_number("pictures_per_prompt", pictures_per_prompt, minimum=1)
        first = whole_number("first_picture", first_picture, minimum=0)
        if first + count > _PICTURE_LIMIT:
            raise OptionsError(f"picture {first + count - 1} was asked for; indices of pictures are below 2^64")
        object.__setattr__(self, "pictures_per_prompt", count)
        object.__setattr__(self, "first_picture", first)

    def pictures(self) -> list[tuple[int, int]]:
        """Return (index of the prompt, index of the picture within its prompt) for every picture, in order."""
        first = self.first_picture
        return [
            (prompt, picture)
            for prompt in range(len(self.prompts))
            for picture in range(first, first + self.pictures_per_prompt)
        ]


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise OptionsError(f"{name} is {value!r}; it must be a string or a list of strings")
    if not value:
        raise OptionsError(f"no {name} was given; give at least one")
    for text in value:
        if not isinstance(text, str):
            raise OptionsError(f"{name} is {text!r}; it must be a string")
    return tuple(value)
