"""Files that go with another file or a folder, the chief: they appear just before it, and without it they go again.

Until the chief is there, each has a second, hidden name, which tells the process that writes it. So it is known of one
that a killed process left that its chief never came.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from amused_edge.runtime.errors import AmusedEdgeError, OutputExistsError
from amused_edge.runtime.system.unfinished import abandoned, unfinished
from amused_edge.runtime.system.whole_file import move_to_free_place


class Companions:
    """The files of one chief that were written so far."""

    def __init__(self) -> None:
        self.written: list[tuple[Path, Path]] = []

    def add(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises
        ------
        OutputExistsError
            The place is taken.
        AmusedEdgeError
            The file cannot be written.
        """
        second = unfinished(path)
        try:
            with second.open("xb") as file:
                file.write(content)
            # A file system without hard links leaves no second name, and a kill the file.
            move_to_free_place(second, path)
            self.written.append((path, second))
        except FileExistsError as error:
            raise OutputExistsError(f"{path} exists; choose another name or remove it") from error
        except OSError as error:
            raise AmusedEdgeError(f"cannot write {path}: {error.strerror or error}") from error
        finally:
            if (path, second) not in self.written:
                _remove(second)


@contextlib.contextmanager
def companions() -> Iterator[Companions]:
    """Give what writes the files of a chief that appears when the block ends well; else they go again."""
    made = Companions()
    try:
        yield made
    except BaseException:
        for path, _ in made.written:
            _remove(path)
        raise
    finally:
        for _, second in made.written:
            _remove(second)


def remove_abandoned_companions(paths: Iterable[Path], chief: Path) -> None:
    """Remove what killed processes wrote of a chief's files, if it is not there."""
    for path in paths:
        for second in abandoned(path):
            with contextlib.suppress(OSError):
                if not os.path.lexists(chief) and path.samefile(second):
                    path.unlink()
            _remove(second)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
