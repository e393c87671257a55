"""What fuzzing kept of earlier runs: inputs that reach something new, smallest first, and those that found a fault.

A file for each reader in tests/fuzz/corpus: a line for each input, a JSON string with a letter for each byte.
"""

import json
from collections.abc import Iterable

from tests.support.paths import ROOT

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
INPUT, ALL = 1024, 12 * 1024
"""Bytes of the longest input, and of all of a reader, that are kept."""


def file_name(name: str) -> str:
    """Return what a reader's folders and files are called."""
    return name.replace(" ", "-")


def kept(name: str) -> list[bytes]:
    """Return the inputs of a reader."""
    file = CORPUS / f"{file_name(name)}.jsonl"
    return [json.loads(line).encode("latin-1") for line in file.read_text().splitlines()] if file.exists() else []


def keep(name: str, inputs: Iterable[bytes]) -> int:
    """Keep inputs beside those that are there; return how many there are now."""
    there = kept(name)
    size = sum(map(len, there))
    for data in sorted(set(inputs) - set(there), key=lambda data: (len(data), data)):
        if len(data) > INPUT or size + len(data) > ALL:
            break
        there.append(data)
        size += len(data)
    CORPUS.mkdir(exist_ok=True)
    text = "".join(json.dumps(data.decode("latin-1")) + "\n" for data in there)
    (CORPUS / f"{file_name(name)}.jsonl").write_text(text)
    return len(there)
