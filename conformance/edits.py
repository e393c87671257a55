"""Edits that make a damaged bundle of a whole one, as every port's tests apply them.

Each is an object with an `op` and the name of a `file` in the bundle:

- `set` (path, value), `remove` (path): of a JSON file; the index after a list's last one appends.
- `write` (text): the file's whole content.
- `replace` (find, with): the first place of an ASCII text in it.
- `truncate` (bytes): so many bytes less at its end. `append` (text): more there.
- `flip` (offset, mask): XOR of one byte; an offset below 0 counts from the end.
- `delete`; `copy` (to): under another name.
- `relist`: its size and hash in the manifest become those that it has now, as whoever means harm does it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amused_edge.conformance.vector_set import Values

MANIFEST = "manifest.json"


def apply(edits: list[Values], folder: Path) -> None:
    """Apply edits one after the other to the bundle in a folder."""
    for edit in edits:
        _OPERATIONS[edit["op"]](folder, folder / edit["file"], edit)


def touched(edits: list[Values]) -> set[str]:
    """Return the names of files that edits change or add."""
    names = {edit["file"] for edit in edits if edit["op"] != "relist"}
    names |= {edit["to"] for edit in edits if edit["op"] == "copy"}
    return names | {MANIFEST for edit in edits if edit["op"] == "relist"}


def place_in(content: Any, path: list[str | int]) -> tuple[Any, Any]:
    """Return the object or list that a path's last part belongs to, and that part."""
    *parents, name = path
    for parent in parents:
        content = content[parent]
    return content, name


def put(content: Any, path: list[str | int], value: Any) -> None:
    """Put a value at a path; the index after a list's last one appends."""
    place, name = place_in(content, path)
    if isinstance(place, list) and name == len(place):
        place.append(value)
    else:
        place[name] = value


def _with_json(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def _set(_: Path, file: Path, edit: Values) -> None:
    _with_json(file, lambda content: put(content, edit["path"], edit["value"]))


def _remove(_: Path, file: Path, edit: Values) -> None:
    def drop(content: Any) -> None:
        place, name = place_in(content, edit["path"])
        del place[name]

    _with_json(file, drop)


def _write(_: Path, file: Path, edit: Values) -> None:
    file.write_text(edit["text"], encoding="utf-8")


def _replace(_: Path, file: Path, edit: Values) -> None:
    content, find = file.read_bytes(), edit["find"].encode("ascii")
    if find not in content:
        raise ValueError(f"{file.name} does not hold {edit['find']}")
    file.write_bytes(content.replace(find, edit["with"].encode("ascii"), 1))


def _truncate(_: Path, file: Path, edit: Values) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - edit["bytes"]])


def _append(_: Path, file: Path, edit: Values) -> None:
    file.write_bytes(file.read_bytes() + edit["text"].encode())


def _flip(_: Path, file: Path, edit: Values) -> None:
    content = bytearray(file.read_bytes())
    content[edit["offset"]] ^= edit["mask"]
    file.write_bytes(content)


def _delete(_: Path, file: Path, edit: Values) -> None:
    file.unlink()


def _copy(folder: Path, file: Path, edit: Values) -> None:
    (folder / edit["to"]).parent.mkdir(exist_ok=True)
    shutil.copyfile(file, folder / edit["to"])


def _relist(folder: Path, file: Path, edit: Values) -> None:
    now = {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

    def change(manifest: Any) -> None:
        files = [*manifest["files"].values(), *(f for g in manifest["graphs"].values() for f in g["files"])]
        for entry in files:
            if entry["path"] == edit["file"]:
                entry.update(now)

    _with_json(folder / MANIFEST, change)


_OPERATIONS: dict[str, Callable[[Path, Path, Values], None]] = {
    "set": _set,
    "remove": _remove,
    "write": _write,
    "replace": _replace,
    "truncate": _truncate,
    "append": _append,
    "flip": _flip,
    "delete": _delete,
    "copy": _copy,
    "relist": _relist,
}
