"""Options that several commands share, and how their text becomes values."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from amused_edge.runtime.errors import quoted

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


def picture(command: F) -> F:
    """Add what concerns a picture that is given: --image, --mask, --outpaint and how they are used."""
    file = click.Path(path_type=Path)
    for option in (
        click.option(
            "--feather", type=int, help="Pixels over which the kept part fades into the new one.  [default: 0]"
        ),
        click.option(
            "--paste-back/--no-paste-back",
            default=None,
            help="Keep the picture's own pixels outside the mask, or let all pass through the VQ-GAN.  [default: keep]",
        ),
        click.option(
            "--coverage", help="Tokens that the mask takes: covered by half, or by any pixel.  [default: half]"
        ),
        click.option("--fit", help="Bring the picture to size: crop, pad, stretch, or exact.  [default: crop]"),
        click.option("--strength", type=float, help="Share of the steps that run.  [default: 0.5, with a mask 1]"),
        click.option(
            "--outpaint", type=Numbers(int, "LEFT,TOP,RIGHT,BOTTOM"), help="Pixels to draw around the picture."
        ),
        click.option("--mask", type=file, help="Picture that is bright where --image is to be repainted."),
        click.option("--image", type=file, help="Picture to start from."),
    ):
        command = option(command)
    return command


def control(command: F) -> F:
    """Add what steers the loop further, and what the model is told of the picture."""
    for option in (
        click.option("--crop-left", type=float, help="Micro-conditioning, pixels."),
        click.option("--crop-top", type=float, help="Micro-conditioning, pixels."),
        click.option("--aesthetic-score", type=float, help="Micro-conditioning, about 1 to 10."),
        click.option("--order", help="Which tokens stay: by confidence, or by a halton sequence."),
        click.option(
            "--guidance-interval", type=Numbers(float, "BEGIN,END"), help="Shares of the run between which it is on."
        ),
        click.option("--guidance-ramp", help="How guidance grows: constant, linear or cosine."),
    ):
        command = option(command)
    return command
