"""Prompts some of whose words count more or less, in the notation that users of image tools know."""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter

from amused_edge.runtime.checks import check_text
from amused_edge.runtime.errors import OptionsError, quoted

STRONGER = 1.1
"""What round brackets without a number multiply by; square ones divide by it."""

_LARGEST = 100.0
_MARK = re.compile(r"\\[\\()\[\]]|[()\[\]]")
"""An escaped bracket or backslash, or a bracket."""

_NUMBER = re.compile(r":\s*([+-]?(\d+(\.\d*)?|\.\d+))\s*$")
_DEEPEST = 100
"""Brackets in one another; each multiplies all that is in it."""

_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class PromptWeights:
    """A prompt with weights, given in a text's place.

    `(fox)` multiplies the weight of what is inside by 1.1, `[fox]` divides it by 1.1, `(fox:1.3)` multiplies it by a
    number of your own, and brackets within brackets multiply. A backslash before a bracket or a backslash makes it a
    letter like any other.

    Attributes
    ----------
    weighted_text
        The text in this notation.

    Raises
    ------
    OptionsError
        Brackets are not balanced or more than 100 deep, or a weight is negative or above 100.
    """

    weighted_text: str

    def __post_init__(self) -> None:
        if not isinstance(self.weighted_text, str):
            raise OptionsError(f"a prompt with weights is {quoted(self.weighted_text)}; it must be a string")
        check_text(self.weighted_text)
        _ = self.parts

    def __str__(self) -> str:
        return self.weighted_text

    @cached_property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Pieces of the text without its notation, each with its weight."""
        parsed = [part for part in _parse(self.weighted_text) if part[0]]
        for text, weight in parsed:
            if weight > _LARGEST:
                raise OptionsError(f"{quoted(text)} has the weight {weight:g}; the largest is {_LARGEST:g}")
        runs = groupby(parsed, key=itemgetter(1))
        return tuple(("".join(text for text, _ in run), weight) for weight, run in runs)

    @property
    def plain(self) -> str:
        """The text without its notation."""
        return "".join(text for text, _ in self.parts)

    def at(self, position: int) -> float:
        """Return the weight of the letter at a position of the plain text."""
        for text, weight in self.parts:
            if position < len(text):
                return weight
            position -= len(text)
        return 1.0


def with_weights(text: str) -> str | PromptWeights:
    """Return a text as a prompt with weights, or as it is where it has none of the notation."""
    prompt = PromptWeights(text)
    return text if prompt.plain == text and all(weight == 1.0 for _, weight in prompt.parts) else prompt


@dataclass
class _Group:
    """What an open bracket holds so far."""

    bracket: str
    begin: int
    parts: list[tuple[str, float]]


def _parse(text: str) -> list[tuple[str, float]]:
    groups = [_Group("", 0, [])]
    position = 0
    for mark in _MARK.finditer(text):
        groups[-1].parts.append((text[position : mark.start()], 1.0))
        position, found = mark.end(), mark.group()
        if found.startswith("\\"):
            groups[-1].parts.append((found[1], 1.0))
        elif found in _CLOSING:
            if len(groups) > _DEEPEST:
                raise OptionsError(
                    f"the bracket {found} at letter {mark.start() + 1} of {quoted(text)} stands in {_DEEPEST} others; "
                    "give the weight as a number, like (fox:1.3)"
                )
            groups.append(_Group(found, mark.start(), []))
        else:
            group = groups.pop() if len(groups) > 1 else groups[0]
            if _CLOSING.get(group.bracket) != found:
                raise _unbalanced(text, found, mark.start())
            groups[-1].parts += _weighted(group)
    if len(groups) > 1:
        raise _unbalanced(text, groups[-1].bracket, groups[-1].begin)
    return [*groups[0].parts, (text[position:], 1.0)]


def _weighted(group: _Group) -> list[tuple[str, float]]:
    """Return the parts of a group that ends, times its weight."""
    factor = STRONGER if group.bracket == "(" else 1.0 / STRONGER
    last, weight = group.parts[-1]
    number = _NUMBER.search(last)
    if number is not None:
        if group.bracket == "[":
            raise OptionsError(f"{quoted(f'[...{last}]')} has a number in square brackets; weights stand in round ones")
        factor = float(number.group(1))
        if factor < 0:
            raise OptionsError(f"{quoted(f'({last})')} has the weight {factor:g}; weights are from 0 to {_LARGEST:g}")
        group.parts[-1] = (last[: number.start()], weight)
    return [(part, own * factor) for part, own in group.parts]


def _unbalanced(text: str, bracket: str, position: int) -> OptionsError:
    return OptionsError(
        f"the bracket {bracket} at letter {position + 1} of {quoted(text)} has no partner; close it, or write "
        f"\\{bracket} for the letter"
    )
