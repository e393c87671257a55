"""Every error that amused-edge raises on purpose: one line that says what was wrong, with the value, and what to do.

Values come from users, files and other libraries. So a message is made one short line where it is made, whoever shows
it; and each value in it is `quoted`, so that a long one leaves room for the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MESSAGE, _VALUE = 400, 100
"""Longest message and longest value in one, in characters."""


def one_line(text: str, limit: int = _MESSAGE) -> str:
    """Return a text as one line without control characters; of one longer than the limit, its beginning and end."""
    joined = " ".join(line.strip() for line in _cut(text, 2 * limit).splitlines() if line.strip())
    if not joined.isprintable():
        joined = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in joined)
    return _cut(joined, limit)


def quoted(value: object, limit: int = _VALUE) -> str:
    """Return a value for a message: its `repr`, as one short line."""
    try:
        return one_line(repr(value), limit)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; lists within each other
        return f"a very long {type(value).__name__}"


def _cut(text: str, limit: int) -> str:
    """Return a text without its middle, where it is longer than the limit."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


@contextmanager
def as_refusal(refusal: Callable[[str], Exception], before: str, after: str = "") -> Iterator[None]:
    """Make an error of ours of whatever a library raises in this block, with its first line between two texts.

    Also where a library in Rust panics, which Python is told of by what is no `Exception`.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise refusal(f"{before}{first_line(error)}{after}") from error
        raise


class AmusedEdgeError(Exception):
    """Base of all errors raised on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class OptionsError(AmusedEdgeError, ValueError):
    """An option, prompt or task is out of range or of the wrong type."""


class BundleError(AmusedEdgeError):
    """A bundle cannot be opened, is incomplete, damaged, or could not be written."""


class HubError(BundleError):
    """The Hugging Face hub did not give a bundle, or did not take it."""


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


class InternalError(AmusedEdgeError):
    """Something that amused-edge relies on is not so: a fault of its own, not of what it was given."""


class AmusedEdgeWarning(UserWarning):
    """Something was done otherwise than a caller may think, and the result is still good: a prompt was cut, say."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, or its kind where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
