"""A reader of bytes that others made: inputs to begin with, a function that reads one, and what it may not do.

It may raise `AmusedEdgeError` and nothing else, and may open no file outside of its own folder.
"""

import contextlib
import functools
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]


Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Parser:
    """One kind of input.

    Attributes
    ----------
    seeds
        Inputs that are as they should be.
    read
        Reads an input.
    mutate
        Changes an input, knowing what it looks like.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], Read]
    mutate: Mutate


class EscapedError(Exception):
    """A file outside of the folder was opened, or a list of one asked for."""


_INSIDE: list[str] = []
"""Where an input that is being read may have files."""


_LIBRARIES = (sys.prefix, sys.base_prefix, "/proc/", "/dev/null", "/dev/urandom", "/sys/")
"""Where Python's modules lie, and what describes this machine."""


_real = functools.lru_cache(256)(os.path.realpath)
"""Asked of the same few paths again and again; no reader makes links."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _INSIDE or event not in ("open", "os.listdir", "os.scandir"):
        return
    path = arguments[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    real = _real(os.fsdecode(path))
    if not real.startswith((_INSIDE[0], *_LIBRARIES)):
        raise EscapedError(real)


sys.addaudithook(_watch)


@contextlib.contextmanager
def kept_inside(folder: Path) -> Iterator[None]:
    """Raise `EscapedError` where Python opens a file that is neither in a folder nor a part of a library."""
    _INSIDE.append(_real(folder))
    try:
        yield
    finally:
        _INSIDE.clear()


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    outer, _INSIDE[:] = list(_INSIDE), [_real(folder)] if _INSIDE else []
    try:
        yield
    finally:
        _INSIDE[:] = outer


def tried(parser: Parser, folder: Path) -> Read:
    """Return what reads an input of a parser, and raises whatever is not one of our own errors, as `RuntimeError`.

    Raises
    ------
    AmusedEdgeError
        The parser's first seed cannot be read.
    """
    from amused_edge.runtime.errors import AmusedEdgeError

    read = parser.read(folder)
    first, *others = parser.seeds()
    read(first)  # which also imports what reading takes
    for seed in others:
        with contextlib.suppress(AmusedEdgeError):
            read(seed)

    def one(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with kept_inside(folder):
                    read(data)
            except AmusedEdgeError as error:
                if len(str(error)) > 4000 or "\n" in str(error):
                    raise RuntimeError(f"an error of {len(str(error))} characters, or of several lines") from error
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # libraries in Rust raise what is no Exception
                raise RuntimeError(f"{type(error).__name__}: {str(error)[:300]}") from error

    return one


def of_text(read: Callable[[str], object]) -> Callable[[Path], Read]:
    """Read text; what is no UTF-8 is refused where the file is read."""

    def one(data: bytes) -> object:
        with contextlib.suppress(UnicodeDecodeError):
            return read(data.decode("utf-8", "surrogatepass"))
        return None

    return lambda folder: one


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[Path], Read]:
    """Read a file of this name."""

    def of(folder: Path) -> Read:
        path = folder / name

        def one(data: bytes) -> object:
            path.write_bytes(data)
            return read(path)

        return one

    return of


def reader(room: str, name: str, method: str = "from_json") -> Callable[[Path], Read]:
    """Return what reads text by a class's own function."""

    def read(text: str) -> object:
        module = __import__(f"amused_edge.{room}", fromlist=[name])
        return getattr(getattr(module, name), method)(text)

    return of_text(read)
