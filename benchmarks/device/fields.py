"""Fields of a results file, in their ranges; every mistake is an `OptionsError` that names the place and the value."""

import math

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import OptionsError, quoted

_MOST = 1e18
"""Above any figure of a machine."""


def text(fields: Fields, name: str, longest: int = 1000) -> str:
    """Return a text of at most so many characters."""
    value = fields.get(name, str)
    if len(value) > longest:
        raise OptionsError(f"{name} has {len(value)} characters; it may have {longest}")
    return value


def whole(fields: Fields, name: str, minimum: int) -> int:
    """Return a whole number that is `minimum` or more."""
    value = fields.get(name, int)
    if not minimum <= value <= _MOST:
        raise OptionsError(f"{name} is {quoted(value)}; it must be {minimum} or more")
    return value


def optional_whole(fields: Fields, name: str, value: object, minimum: int) -> int | None:
    """Return a value that was read from `fields` as `name`: None, or a whole number that is `minimum` or more."""
    if value is None:
        return None
    if type(value) is not int or not minimum <= value <= _MOST:
        raise OptionsError(f"{name} holds {quoted(value)}; it must be null, or a whole number from {minimum} on")
    return value


def finite(fields: Fields, name: str, minimum: float = 0.0) -> float:
    """Return a finite number that is `minimum` or more."""
    value = fields.get(name, float)
    if not minimum <= value <= _MOST or math.isnan(value):
        raise OptionsError(f"{name} is {quoted(value)}; it must be a number from {minimum:g} on")
    return value


def optional_finite(fields: Fields, name: str, minimum: float = 0.0) -> float | None:
    """Return None, or a finite number that is `minimum` or more."""
    return None if fields.raw(name) is None else finite(fields, name, minimum)


def only(fields: Fields, what: str, names: frozenset[str]) -> None:
    """Refuse an object with other members."""
    unknown = sorted(set(fields) - names)
    if unknown:
        raise OptionsError(f"{what} has {quoted(unknown[0])}, which means nothing here; {', '.join(sorted(names))} do")
