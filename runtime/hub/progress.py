"""Who shows how far a download is: a bar that is there already, or the hub's own library."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

OnBytes = Callable[[str, int, int], None]
"""(description, bytes done, of how many)."""

_SHOWN_BY: ContextVar[OnBytes | None] = ContextVar("downloads_shown_by", default=None)


@contextmanager
def downloads_shown_by(report: OnBytes) -> Iterator[None]:
    """Give downloads of this thread to a function while the block lasts; two bars would draw over each other."""
    token = _SHOWN_BY.set(report)
    try:
        yield
    finally:
        _SHOWN_BY.reset(token)


def bar_class(description: str, before: int, total: int) -> type[Any] | None:
    """Return what huggingface_hub makes a file's bar of, as its `tqdm_class`; None leaves it its own.

    Parameters
    ----------
    before
        Bytes of the files before this one.
    total
        Of all files.
    """
    shown_by = _SHOWN_BY.get()
    if shown_by is None:
        return None
    report: OnBytes = shown_by
    from tqdm import tqdm

    class Forwarded(tqdm):  # type: ignore[misc]
        """Draws nothing, and passes on what is done; a download that begins anew counts back."""

        def __init__(self, *_: Any, **settings: Any) -> None:
            super().__init__(disable=True)
            self.done = before + int(settings.get("initial") or 0)
            report(description, self.done, total)

        def update(self, n: float | None = 1) -> bool | None:
            self.done += int(n or 0)
            report(description, self.done, total)
            return None

        def update_transfer(self, n: float | None = 1) -> None:
            """What Xet has received and not yet written; as there is this, it makes no second bar for it."""

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            """How fast that is."""

    return Forwarded


def no_bar() -> type[Any]:
    """Return a `tqdm_class` that shows nothing, for a file of a few kilobytes."""
    from tqdm import tqdm

    class Silent(tqdm):  # type: ignore[misc]
        """Draws nothing."""

        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__(disable=True)

    return Silent
