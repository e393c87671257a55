"""The streams of the command line: any console shows any name, and what cannot be written ends in no traceback.

Imports next to nothing: it is there before an interruption can be heeded.
"""

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

FAILED, NOBODY_READS = 1, 141
"""Exit codes; the second is what a shell gives a program that SIGPIPE ends."""

_ESCAPES = "amused-edge-console"


def prepare() -> None:
    """See that there are streams, and that they take all letters."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed; a file that is opened later must not get the stream's number
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    codecs.register_error(_ESCAPES, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


class UnprintedError(Exception):
    """A result could not be printed; the cause is the system's error."""


@contextmanager
def printing() -> Iterator[None]:
    """Raise `UnprintedError` where results are not taken: nobody reads them any more, or a disk is full."""
    try:
        yield
    except OSError as error:
        raise UnprintedError from error


def say(text: str) -> None:
    """Print a result; raises `UnprintedError`."""
    with printing():
        print(text, flush=True)


def encodes(text: str) -> bool:
    """Return whether the results' stream has all letters of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def complain(message: str) -> None:
    """Tell what is not a result, in one line; nowhere, if that cannot be told."""
    write_error(f"amused-edge: {message}\n")


def write_error(text: str) -> None:
    """Write text to the stream of errors; nowhere, if it does not take it."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def finish(code: int) -> int:
    """Write what is not written yet; return the exit code, which says so if the results could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        code = unprinted(error)
    try:
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)
    return code


def unprinted(error: BaseException | None) -> int:
    """Tell that results could not be printed, unless nobody wants them; return the exit code."""
    _silence(sys.stdout)
    number = getattr(error, "errno", None)
    if number == errno.EPIPE or (number == errno.EINVAL and sys.platform == "win32"):
        return NOBODY_READS
    complain(f"the results could not be printed: {getattr(error, 'strerror', error)}; lead them elsewhere")
    return FAILED


def _silence(stream: TextIO) -> None:
    """Lead a stream that takes nothing to one that takes all, or the interpreter complains when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Give the bytes of a file name as they are, and another letter that an encoding lacks as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return letter.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1
