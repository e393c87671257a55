"""Files that appear complete or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from amused_edge.runtime.errors import AmusedEdgeError, OutputExistsError
from amused_edge.runtime.system.library_paths import check_name
from amused_edge.runtime.system.unfinished import remove_abandoned, unfinished


@contextlib.contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write to that takes its place when the block ends well, and else goes; what killed writers of the
    same file left goes too.

    Raises
    ------
    OutputExistsError
        The place is taken and `replace` was not asked for.
    OptionsError
        The path does not end in a name.
    AmusedEdgeError
        The file cannot be written.
    """
    check_name(path)
    remove_abandoned(path)
    partial = unfinished(path)
    try:
        with partial.open("xb") as file:
            yield file
        if replace:
            os.replace(partial, path)
        else:
            move_to_free_place(partial, path)
    except FileExistsError as error:
        raise OutputExistsError(f"{path} exists; choose another name or remove it") from error
    except OSError as error:
        raise AmusedEdgeError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def move_to_free_place(source: Path, path: Path) -> None:
    """Like a rename, but raises `FileExistsError` where a file came meanwhile."""
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        source.rename(path)
