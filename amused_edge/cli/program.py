"""The command line's commands, and what becomes of their errors and warnings."""

import io
import warnings
from typing import IO, Any, TextIO

import click

from amused_edge.cli import console
from amused_edge.cli.bench import bench
from amused_edge.cli.cache import cache
from amused_edge.cli.command import Group, LibraryError
from amused_edge.cli.export import export
from amused_edge.cli.generate import generate
from amused_edge.cli.inspect import inspect
from amused_edge.cli.quantize import quantize
from amused_edge.cli.validate import validate
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


class _Program(Group):
    """Makes one line of every error that is not a mistake in the program."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LibraryError as error:
            raise _Failure(error.message) from error
        except (AmusedEdgeError, ImportError, OSError) as error:
            if ctx.params["debug"]:
                raise
            kind = _Misuse if isinstance(error, OptionsError | OutputExistsError | StateError) else _Failure
            raise kind(str(error)) from error


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="amused-edge")
def commands(debug: bool) -> None:
    """Convert aMUSEd checkpoints for phones, and draw pictures with them."""


for command in (export, quantize, generate, inspect, bench, validate, cache):
    commands.add_command(command)


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
        console.write_error(f"{usage}{mark}{one_line(message, _SHOWN)}\n")
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
