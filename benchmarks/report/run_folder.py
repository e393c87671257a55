"""A long run's folder: what was asked, each record as it is measured, and at the end the results.

`settings.json` is written first. `records.jsonl` grows by a line per record, so that an interrupted run loses at most
the one that it was at; the same command goes on there. Results appear whole, and end the run.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from amused_edge.runtime.bundle.places import check_folder, check_free, check_outside_bundles
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, OutputExistsError
from amused_edge.runtime.system.unfinished import remove_abandoned
from amused_edge.runtime.system.whole_file import whole_file

try:
    import fcntl
except ImportError:  # Windows: nobody is kept away
    fcntl = None  # type: ignore[assignment]

SETTINGS_NAME, RECORDS_NAME, RESULTS_NAME = "settings.json", "records.jsonl", "results.json"

Record = dict[str, Any]


class RunFolder:
    """An open run.

    Parameters
    ----------
    path
        A new folder, or that of an interrupted run with the same settings.
    settings
        Everything that the records depend on; JSON.

    Raises
    ------
    OutputExistsError
        The folder holds something else, or a run that is complete.
    OptionsError
        It cannot be written to, or lies inside a bundle; or it holds a run with other settings: names the first that
        differs.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self._places: dict[str, int] = {}  # of each record's line; records stay on the disk
        self._lock: IO[bytes] | None = None
        if not is_new(path):
            self._resume()
        else:
            self._begin()
        self._take()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> Record:
        try:
            with (self.path / RECORDS_NAME).open("rb") as file:
                file.seek(self._places[key])
                record: Record = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise self._damaged() from error
        return record

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record (JSON) under a key of its own; it is on the disk when this returns."""
        line = json.dumps({"key": key, **record}, ensure_ascii=False)
        try:
            with (self.path / RECORDS_NAME).open("ab") as file:
                place = file.tell()
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise AmusedEdgeError(f"cannot write {self.path / RECORDS_NAME}: {error.strerror}") from error
        self._places[key] = place

    def finish(self, files: Mapping[str, str | bytes]) -> None:
        """Write the results' files, `results.json` last: it says that the run is complete."""
        for name in sorted(files, key=lambda name: name == RESULTS_NAME):
            content = files[name]
            _write_whole(self.path / name, content.encode() if isinstance(content, str) else content)
        if self._lock is not None:
            self._lock.close()

    def _take(self) -> None:
        """Keep other processes away while this one runs; raises `OutputExistsError` if one is at it."""
        if fcntl is None:
            return
        self._lock = (self.path / SETTINGS_NAME).open("rb+")
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise OutputExistsError(f"another process is measuring in {self.path}; choose another folder") from error

    def _begin(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AmusedEdgeError(f"cannot make the folder {self.path}: {error.strerror}") from error
        _write_whole(self.path / SETTINGS_NAME, (json.dumps(self.settings, indent=1) + "\n").encode())

    def _resume(self) -> None:
        try:
            found = json.loads((self.path / SETTINGS_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise OutputExistsError(f"{self.path} exists and holds no benchmark run; choose another folder") from error
        if (self.path / RESULTS_NAME).exists():
            raise OutputExistsError(f"{self.path} holds a complete run; choose another folder or remove it")
        for name, value in self.settings.items():
            if not isinstance(found, dict) or name not in found or found[name] != value:
                raise OptionsError(
                    f"{self.path} holds a run with other settings ({name} differs); choose another folder, or give the "
                    f"settings that {SETTINGS_NAME} there names to go on with it"
                )
        self._read_records()

    def _read_records(self) -> None:
        """Read the records, and cut off a line that a killed run left unfinished."""
        file = self.path / RECORDS_NAME
        if not file.exists():
            return
        place = 0
        try:
            with file.open("rb+") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        lines.truncate(place)
                        break
                    self._places[json.loads(line)["key"]] = place
                    place += len(line)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged() from error

    def _damaged(self) -> AmusedEdgeError:
        return AmusedEdgeError(f"{self.path / RECORDS_NAME} is damaged; remove {self.path} and run again")


def is_new(path: Path) -> bool:
    """Return whether a run begins in a folder, which can be made, or is there and empty, but for what a run left that
    was killed as it began; else it may go on there.

    Raises
    ------
    OptionsError
        Nothing can be written there.
    """
    if not os.path.lexists(path):
        check_free(path)
        return True
    if not path.is_dir():
        return False
    remove_abandoned(path / SETTINGS_NAME)  # all that a run has which was killed as it began
    if any(path.iterdir()):
        return False
    check_folder(path)
    check_outside_bundles(path)
    return True


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder, so that it appears whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AmusedEdgeError(f"cannot write {path}: {error.strerror}") from error
    with whole_file(path, replace=True) as file:
        file.write(content)
