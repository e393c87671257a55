"""Reads typed fields out of parsed JSON; every mistake is an error that names the place."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from amused_edge.runtime.errors import BundleError, quoted

T = TypeVar("T")

DAMAGED = "the bundle is damaged, make it again"

_TOO_LARGE = 2**64
"""Of no number that is stored; beyond what other languages hold, and what can be divided."""


class Fields:
    """A JSON object and where it stands, for example `manifest.json: graphs.denoiser`.

    Parameters
    ----------
    advice
        What every error ends with.
    refusal
        Makes the error of a message.
    """

    def __init__(
        self,
        value: object,
        where: str,
        advice: str = DAMAGED,
        refusal: Callable[[str], Exception] = BundleError,
    ) -> None:
        if not isinstance(value, dict):
            raise refusal(f"{where} is not a JSON object; {advice}")
        self._value: dict[str, Any] = value
        self._where = where
        self._advice = advice
        self._refusal = refusal

    def get(self, name: str, kind: type[T]) -> T:
        """Return a field that must be there and of this type (an int counts as a float, and has at most 64 bits)."""
        value = self.raw(name)
        if kind is float and type(value) is int:
            with contextlib.suppress(OverflowError):
                value = float(value)
        if type(value) is not kind:
            raise self._refusal(
                f"{self._where}: {quoted(name)} is {quoted(value)}, not a {kind.__name__}; {self._advice}"
            )
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            raise self._refusal(f"{self._where}: {quoted(name)} is {quoted(value)}, not below 2^64; {self._advice}")
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def raw(self, name: str) -> Any:
        """Return a field that must be there, of whatever type."""
        if name not in self._value:
            raise self._refusal(f"{self._where} lacks {quoted(name)}; {self._advice}")
        return self._value[name]

    def values(self, name: str, kind: type[T]) -> list[T]:
        """Return a list whose members are all of this type (an int counts as a float)."""
        return [self._inner({name: value}, "").get(name, kind) for value in self.get(name, list)]

    def mapping(self, name: str, kind: type[T]) -> dict[str, T]:
        """Return an object whose values are all of this type (an int counts as a float)."""
        values = self.child(name)
        return {key: values.get(key, kind) for key in values}

    def child(self, name: str) -> "Fields":
        """Return a field that is itself an object."""
        self.get(name, dict)
        return self._inner(self._value[name], f": {name}")

    def items(self, name: str, build: Callable[["Fields"], T]) -> tuple[T, ...]:
        """Build one value from each object of a list."""
        values = self.get(name, list)
        return tuple(build(self._inner(v, f": {name}[{i}]")) for i, v in enumerate(values))

    def table(self, name: str, build: Callable[["Fields"], T]) -> dict[str, T]:
        """Build one value from each object of an object."""
        values = self.get(name, dict)
        return {key: build(self._inner(v, f": {name}.{key}")) for key, v in values.items()}

    def _inner(self, value: object, place: str) -> "Fields":
        return Fields(value, self._where + place, self._advice, self._refusal)
