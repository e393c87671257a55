"""Motions from a file: JSON, or text with one X,Y on each line."""

import json
from pathlib import Path

from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.tasks.clip import Vector, vectors

_LARGEST = 10_000_000


def read_motions(path: Path) -> tuple[Vector, ...]:
    """Return the motions of a file, one for each frame after the first.

    A file that ends in .json holds a list of pairs; any other holds lines `X,Y`, empty lines not counted, and the first
    may name the columns (`x,y`).

    Raises
    ------
    OptionsError
        The file cannot be read, or holds anything else.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_LARGEST)
    except OSError as error:
        raise OptionsError(f"cannot read the motions {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise OptionsError(f"the motions {path} are not UTF-8 text; save them as UTF-8") from error
    try:
        return vectors(_from_json(text) if path.suffix.lower() == ".json" else _from_lines(text))
    except OptionsError as error:
        raise OptionsError(f"{path}: {error}") from error


def _from_json(text: str) -> list[object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionsError(f"the motions are not JSON: {error}") from error
    if not isinstance(content, list) or not all(isinstance(pair, list) for pair in content):
        raise OptionsError(f"the motions are {quoted(content)}; give a list of pairs [x, y]")
    return content


def _from_lines(text: str) -> list[object]:
    pairs: list[object] = []
    for number, line in enumerate(text.splitlines(), start=1):
        columns = [column.strip() for column in line.split(",")]
        if columns == [""] or (not pairs and [column.lower() for column in columns] == ["x", "y"]):
            continue
        try:
            pairs.append([float(column) for column in columns])
        except ValueError as error:
            raise OptionsError(f"line {number} is {quoted(line)}; write X,Y: two numbers with a comma") from error
    return pairs
