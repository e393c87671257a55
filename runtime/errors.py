"""Every error that amused-edge raises on purpose: one line that says what was wrong, with the value, and what to do."""

import contextlib
import sys
from collections.abc import Iterator


class AmusedEdgeError(Exception):
    """Base of all errors raised on purpose."""


class OptionsError(AmusedEdgeError, ValueError):
    """An option, prompt or task is out of range or of the wrong type."""


class BundleError(AmusedEdgeError):
    """A bundle cannot be opened, is incomplete, damaged, or could not be written."""


class OutputExistsError(AmusedEdgeError, FileExistsError):
    """The place to write to is taken; nothing is ever overwritten."""


class GraphError(AmusedEdgeError):
    """An engine cannot load or run a graph, or it was fed the wrong arrays."""


class GenerationError(AmusedEdgeError):
    """A picture could not be drawn, for example because a graph returned values that are not numbers."""


class GenerationCancelledError(GenerationError):
    """A generation was stopped by its `Cancellation`."""


class StateError(AmusedEdgeError, ValueError):
    """A saved state is damaged, or belongs to another bundle, task or version."""


class AmusedEdgeWarning(UserWarning):
    """Something was done otherwise than a caller may think, and the result is still good: a prompt was cut, say."""


def first_line(error: Exception) -> str:
    """Return the first line of another library's error, or its kind where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """End the process with an error's line in place of a traceback: for modules that are run by themselves."""
    try:
        yield
    except (AmusedEdgeError, OSError) as error:
        sys.exit(" ".join(str(error).split()))
