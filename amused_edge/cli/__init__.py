"""The command `amused-edge`: one module per subcommand; errors are one line, exit codes 0 done, 1 failed, 2 wrong
usage.
"""

import signal
import sys
import warnings
from types import FrameType
from typing import TextIO

import click

from amused_edge.cli.bench import bench
from amused_edge.cli.cache import cache
from amused_edge.cli.export import export
from amused_edge.cli.generate import generate
from amused_edge.cli.inspect import inspect
from amused_edge.cli.quantize import quantize
from amused_edge.cli.validate import validate
from amused_edge.runtime.errors import AmusedEdgeError, AmusedEdgeWarning, OptionsError, OutputExistsError, StateError

_EXTRAS = {"coremltools": "coreml"}
"""Module -> the extra of this package that brings it, where it is not one of the usual two."""

FAILED, USAGE, INTERRUPTED = 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="amused-edge")
def commands(debug: bool) -> None:
    """Convert aMUSEd checkpoints for phones, and draw pictures with them."""


for command in (export, quantize, generate, inspect, bench, validate, cache):
    commands.add_command(command)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminate)
    warnings.filterwarnings("ignore", module="PIL")  # large pictures, odd EXIF: they are read all the same
    warnings.simplefilter("always", AmusedEdgeWarning)
    warnings.showwarning = _warn
    debug = "--debug" in sys.argv
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE if isinstance(error, click.UsageError) else FAILED)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", INTERRUPTED)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (AmusedEdgeError, ImportError, OSError) as error:
        if debug:
            raise
        usage = isinstance(error, OptionsError | OutputExistsError | StateError)
        _fail(_one_line(error), USAGE if usage else FAILED)


def _one_line(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        extras = "bench" if "bench" in sys.argv else _EXTRAS.get(error.name or "", "export,quantize")
        return f"{error.name} is not installed; install this package with its extras: 'amused-edge[{extras}]'"
    return " ".join(str(error).split())


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
        click.echo(f"amused-edge: note: {' '.join(str(message).split())}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _fail(message: str, code: int) -> None:
    click.echo(f"amused-edge: {message}", err=True)
    sys.exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Leave through the normal way out, so that unfinished files are removed."""
    sys.exit(128 + number)
