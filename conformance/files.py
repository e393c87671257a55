"""The files of the kit: one per set, one line per case."""

import json
from pathlib import Path

from amused_edge.conformance.vector_set import FORMAT, VERSION, Values
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.system.whole_file import whole_file


def vector_file(folder: Path, name: str) -> Path:
    """Return where the vectors of a set lie in the kit's folder."""
    return folder / "vectors" / f"{name}.json"


def text_of(content: Values) -> str:
    """Return a set as text: ASCII, so that no editor or reader stumbles over the odd strings in it."""
    head = {name: value for name, value in content.items() if name != "cases"}
    lines = ",\n".join(json.dumps(case, allow_nan=False, separators=(",", ": ")) for case in content["cases"])
    return json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}") + f',\n "cases": [\n{lines}\n]}}\n'


def write(content: Values, path: Path) -> None:
    """Write a set to its file, which is replaced whole or not at all."""
    with whole_file(path, replace=True) as file:
        file.write(text_of(content).encode())


def read(path: Path) -> Values:
    """Read a set.

    Raises
    ------
    OptionsError
        The file is not there, or is no set of this version.
    """
    try:
        content: Values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionsError(f"{path} cannot be read as vectors: {error}; give the kit's folder") from error
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise OptionsError(f"{path} holds no vectors of version {VERSION}; take the kit of this version")
    return content
