"""How a module that is run with `python -m` ends where something goes wrong: in one line, as the command line does."""

import io
import os
import sys
from collections.abc import Callable

from amused_edge.runtime.errors import AmusedEdgeError, one_line
from amused_edge.runtime.system.extras import advice

INTERRUPTED, NOBODY_READS = 130, 141
"""Exit codes; the second is what a shell gives a program that SIGPIPE ends."""


def run(main: Callable[[], None], *extras: str) -> None:
    """Run a script; of an error that is no mistake in it, print one line and exit with 1.

    Parameters
    ----------
    extras
        Of this package, that the script needs.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it ends
        sys.exit(NOBODY_READS)
    except (AmusedEdgeError, ImportError, AttributeError, OSError) as error:
        message = advice(error, extras)
        if message is None and isinstance(error, AttributeError):
            raise
        sys.exit(one_line(message or str(error)))
