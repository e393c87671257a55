"""How the text of an argument becomes a value."""

import os
from pathlib import Path
from typing import Any

import click

from amused_edge.runtime.errors import quoted

PATH = click.Path(path_type=Path)


class TextType(click.ParamType[str]):
    """Text, as UTF-8 also where the system's locale is another: Python then hides its bytes in surrogates."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text; bytes that are no UTF-8 stay as they are, and are refused by whoever reads the text."""
        try:
            return os.fsencode(value).decode() if any("\udc80" <= c <= "\udcff" for c in value) else str(value)
        except UnicodeError:
            return str(value)


class TemperatureType(click.ParamType[Any]):
    """One number, or two with a comma between: first and last step."""

    name = "T[,T]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a float or a pair of floats."""
        if not isinstance(value, str):
            return value
        try:
            parts = [float(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{quoted(value)} is not a number or two numbers with a comma", param, ctx)
        if len(parts) > 2:
            self.fail(f"{quoted(value)} has more than two numbers", param, ctx)
        return parts[0] if len(parts) == 1 else tuple(parts)


class ListOf(click.ParamType[Any]):
    """Numbers with commas between, each once unless repeated ones count."""

    def __init__(self, kind: type[int] | type[float], *, repeated: bool = False) -> None:
        self._kind = kind
        self._repeated = repeated
        self.name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of numbers."""
        if not isinstance(value, str):
            return value
        try:
            parts = [self._kind(part) for part in value.split(",")]
            return tuple(parts if self._repeated else dict.fromkeys(parts))
        except ValueError:
            kind = "whole number" if self._kind is int else "number"
            self.fail(f"{quoted(value)} is not a {kind}, or several with commas between", param, ctx)


class Numbers(click.ParamType[Any]):
    """So many numbers with commas between."""

    def __init__(self, kind: type[int] | type[float], names: str) -> None:
        self._kind = kind
        self.name = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of numbers."""
        if not isinstance(value, str):
            return value
        count = self.name.count(",") + 1
        try:
            parts = tuple(self._kind(part) for part in value.split(","))
        except ValueError:
            parts = ()
        if len(parts) != count:
            self.fail(f"{quoted(value)} is not {self.name}: {count} numbers with commas between", param, ctx)
        return parts
