"""Checks of values: those that a caller gives raise `OptionsError`, which names the value; `present` is for our own."""

import math
from numbers import Integral, Real
from typing import Any, TypeVar

from amused_edge.runtime.errors import InternalError, OptionsError, quoted

C = TypeVar("C")
T = TypeVar("T")

_REAL_LIMIT = 1e6
"""Far above any useful guidance scale or temperature, far below what float32 arithmetic would turn into infinity."""

_LONGEST = 10_000_000
"""Characters. Pictures hold their prompt, and readers of PNG files refuse more than 64 MB of text."""


def whole_number(name: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int, or raise `OptionsError` naming it if it is no whole number or out of range."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionsError(f"{name} is {quoted(value)}; it must be a whole number")
    if value < minimum:
        raise OptionsError(f"{name} is {quoted(int(value))}; it must be {minimum} or more")
    if maximum is not None and int(value) > maximum:
        raise OptionsError(f"{name} is {quoted(int(value))}; it must be {maximum} or less")
    return int(value)


def real_number(name: str, value: Any) -> float:
    """Return `value` as a float, or raise `OptionsError` naming it if it is no number from 0 to 1e6."""
    if isinstance(value, bool) or not isinstance(value, Real) or (isinstance(value, float) and math.isnan(value)):
        raise OptionsError(f"{name} is {quoted(value)}; it must be a number")
    number: Any = value
    if not 0 <= number <= _REAL_LIMIT:
        shown = quoted(int(value)) if isinstance(value, Integral) else value
        raise OptionsError(f"{name} is {shown}; it must be between 0 and {_REAL_LIMIT:g}")
    return float(number)


def choice(name: str, value: C, choices: tuple[str, ...]) -> C:
    """Return `value`, or raise `OptionsError` naming it if it is none of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise OptionsError(f"{name} is {quoted(value)}; choose one of: {', '.join(choices)}")
    return value


def present(value: T | None, what: str) -> T:
    """Return a value that is there by all that is known here, though its type allows None.

    Raises
    ------
    InternalError
        It is None; the error says what.
    """
    if value is None:
        raise InternalError(f"internal error: {what} is missing; please report it, with the whole command")
    return value


def check_text(prompt: str) -> None:
    """Raise `OptionsError` if a prompt cannot be written as UTF-8, or is longer than a picture's file could hold."""
    if len(prompt) > _LONGEST:
        raise OptionsError(f"a prompt has {len(prompt)} characters; the text encoder reads some dozens of words")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise OptionsError(f"prompt {quoted(prompt)} is not valid Unicode: {error.reason}") from error
