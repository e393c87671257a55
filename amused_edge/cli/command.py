"""Commands and groups of them: options in groups, examples, and the extras of this package that they need."""

from collections.abc import Mapping
from typing import Any

import click
import cloup

from amused_edge.cli.console import printing
from amused_edge.runtime.system.extras import EXTRAS, advice

_DEBUG = "amused_edge.debug"


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_DEBUG] = value


debug = cloup.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember, help="Show the traceback of an error."
)


def debugging(context: click.Context) -> bool:
    """Return whether tracebacks are asked for."""
    return bool(context.meta.get(_DEBUG))


class LibraryError(click.ClickException):
    """A library that a command needs is missing, broken or too old."""


class Group(cloup.Group):
    """Commands, and their --help."""

    def make_context(self, *args: Any, **named: Any) -> click.Context:
        """Read the arguments, or print the help."""
        with printing():
            return super().make_context(*args, **named)


class Command(cloup.Command):
    """A command, and the extras that bring its libraries.

    Parameters
    ----------
    extras
        Needed however the command is called.
    examples
        Command lines that its help ends with.
    """

    def __init__(self, *args: Any, extras: tuple[str, ...] = (), examples: tuple[str, ...] = (), **named: Any) -> None:
        lines = "\n  ".join(("Examples:", *examples))
        super().__init__(*args, epilog=f"\b\n{lines}" if examples else None, **named)
        self.extras = extras

    def make_context(self, *args: Any, **named: Any) -> click.Context:
        """Read the arguments, or print the help."""
        with printing():
            return super().make_context(*args, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an import that fails tells what to install."""
        try:
            return super().invoke(ctx)
        except (ImportError, AttributeError, OSError) as error:
            message = advice(error, tuple(dict.fromkeys((*self.extras, *_asked(ctx.params)))))
            if message is None or debugging(ctx):
                raise
            raise LibraryError(message) from error


def _asked(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the extras that options ask for."""
    ray = ("cluster",) if options.get("ray") is not None else ()
    measured = ("bench",) if options.get("latency") is not None else ()
    return (*_of_target(options), *measured, *ray)


def _of_target(options: Mapping[str, Any]) -> tuple[str, ...]:
    if options.get("simulate") is not None or options.get("lint"):
        return ("coreml",)
    target = options.get("target")
    return (*([target] if target in EXTRAS else []), *(["quantize"] if options.get("recipe") else []))
