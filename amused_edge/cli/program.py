"""The command line's commands, and what becomes of their errors and warnings."""

import io
import warnings
from typing import IO, Any, TextIO

import click
from cloup import HelpFormatter

from amused_edge.cli import console
from amused_edge.cli.bench import bench
from amused_edge.cli.bench_device import device
from amused_edge.cli.cache import cache
from amused_edge.cli.card import card
from amused_edge.cli.command import Group, LibraryError, debug, debugging
from amused_edge.cli.export import export
from amused_edge.cli.fit import fit
from amused_edge.cli.generate import generate
from amused_edge.cli.inspect import inspect
from amused_edge.cli.lora import lora
from amused_edge.cli.push import push
from amused_edge.cli.quantize import quantize
from amused_edge.cli.serve import serve
from amused_edge.cli.validate import validate
from amused_edge.cli.video import video
from amused_edge.runtime.errors import (
    AmusedEdgeError,
    AmusedEdgeWarning,
    OptionsError,
    OutputExistsError,
    StateError,
    one_line,
)

FAILED, USAGE = 1, 2
_SHOWN = 250
"""Letters of a message about the usage, which has lines of its own beside it."""


class _Failure(click.ClickException):
    """Something that a user may do something about: told in one line."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        console.complain(one_line(self.message))


class _Misuse(_Failure):
    """A value, or a place to write to, that the command cannot take."""

    exit_code = USAGE


class _Start(click.UsageError):
    """Nothing was asked for: told is what to do first."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(_START, file)


_START = """Pictures from aMUSEd models that fit a phone. What to do first:

  draw a picture      amused-edge generate BUNDLE "a 3d render of a fox"
  make a bundle       amused-edge export CHECKPOINT BUNDLE
  make it smaller     amused-edge quantize BUNDLE SMALLER --recipe w8
  see all commands    amused-edge --help

A bundle is a folder with a model for one engine, or its id on the Hugging Face
hub; a checkpoint is what it is made from. Each command has a --help with
examples."""


class _Program(Group):
    """Makes one line of every error that is not a mistake in the program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise _Start("give a command", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LibraryError as error:
            raise _Failure(error.message) from error
        except (AmusedEdgeError, ImportError, OSError) as error:
            if debugging(ctx):
                raise
            kind = _Misuse if isinstance(error, OptionsError | OutputExistsError | StateError) else _Failure
            raise kind(str(error)) from error


@click.group(
    cls=_Program,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "formatter_settings": HelpFormatter.settings(col1_max_width=23),  # leaves 52 columns of 80 to the texts
    },
)
@debug
@click.version_option(package_name="amused-edge")
def commands() -> None:
    """Convert aMUSEd checkpoints for phones, and draw pictures with them."""


commands.section("Draw", generate, video, serve, inspect, cache)
commands.section("Make", export, lora, quantize, validate)
commands.section("Share", card, push)
bench.add_command(device)
commands.section("Measure", bench, fit)


def run() -> int:
    """Run the command that the arguments ask for; return the exit code."""
    warnings.filterwarnings("ignore", module="PIL")  # large pictures, odd EXIF: they are read all the same
    warnings.simplefilter("always", AmusedEdgeWarning)
    warnings.showwarning = _warn
    try:
        code = commands(standalone_mode=False)
    except _Failure as failure:
        failure.show()
        return failure.exit_code
    except console.UnprintedError as error:
        return console.unprinted(error.__cause__)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        usage, mark, message = shown.getvalue().partition("Error: ")
        console.write_error(f"{usage}{mark}{one_line(message, _SHOWN)}\n" if mark else usage)
        return error.exit_code
    return code if isinstance(code, int) else 0


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show our own warnings in one line, those of others as Python does."""
    if issubclass(category, AmusedEdgeWarning):
        console.complain(f"note: {message}")
    else:
        console.write_error(warnings.formatwarning(message, category, filename, lineno, line))
