"""Options that several commands share, and how their text becomes values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

prompts = click.option(
    "--prompts", type=click.Path(path_type=Path), help="Text file, one prompt per line.  [default: 64 built-in ones]"
)
simulate = click.option(
    "--simulate",
    type=click.Choice(["half", "float"]),
    help="Compute a Core ML bundle with the NumPy evaluator, on any system: fp16 rounded as stored, or all in float32.",
)
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress, no summary.")


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
            self.fail(f"{value!r} is not a number or two numbers with a comma", param, ctx)
        if len(parts) > 2:
            self.fail(f"{value!r} has more than two numbers", param, ctx)
        return parts[0] if len(parts) == 1 else tuple(parts)


class ListOf(click.ParamType[Any]):
    """Numbers with commas between, each once."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind
        self.name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of numbers."""
        if not isinstance(value, str):
            return value
        try:
            return tuple(dict.fromkeys(self._kind(part) for part in value.split(",")))
        except ValueError:
            kind = "whole number" if self._kind is int else "number"
            self.fail(f"{value!r} is not a {kind}, or several with commas between", param, ctx)


def sampler(command: F) -> F:
    """Add --steps, --guidance, --temperature and --schedule."""
    for option in (
        click.option("--schedule", help="cosine or linear."),
        click.option("--temperature", type=TemperatureType(), help="Of the confidences: T, or FIRST,LAST."),
        click.option("--guidance", type=float, help="Guidance scale; above 1 it steers, at the cost of time."),
        click.option("--steps", type=int, help="Calls of the denoiser."),
    ):
        command = option(command)
    return command
