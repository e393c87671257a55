"""The command `amused-edge`: one module per subcommand; errors are one line, exit codes 0 done, 1 failed, 2 wrong
usage, 130 interrupted, 143 terminated, 141 nobody reads what it prints.

What takes long to import is imported when an interruption ends in one line, too: inside `main`.
"""

import os
import signal
import sys
import threading
from itertools import takewhile
from types import FrameType

from amused_edge.cli import console

FAILED = 1
_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""Signal -> what is said of it."""


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # the hub's client tells of each try; an error is one line
    console.prepare()
    stopped = _heed_signals()
    code = FAILED
    try:
        code = _run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        if not stopped:
            raise
    if stopped and code:  # whatever a library made of it
        console.complain(_STOPPED[stopped[0]])
        code = 128 + stopped[0]
    sys.exit(console.finish(code))


def _run() -> int:
    try:
        from amused_edge.cli.program import run
    except (ImportError, AttributeError, OSError) as error:
        if "--debug" in takewhile(lambda word: word.startswith("-"), sys.argv[1:]):  # later words may be a prompt
            raise
        console.complain(f"{' '.join(str(error).split())}; install this package anew, its libraries are not all there")
        return FAILED
    return run()


def _heed_signals() -> list[signal.Signals]:
    """Leave through the normal way out at a signal, so that unfinished files are removed; list those that came."""
    came: list[signal.Signals] = []

    def leave(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number))
        sys.exit(128 + number)

    for each in _STOPPED if threading.current_thread() is threading.main_thread() else ():
        if signal.getsignal(each) is not signal.SIG_IGN:  # as of a job in the background
            signal.signal(each, leave)
    return came
