"""What reads bytes that others made takes whatever comes, or refuses it with one error of ours: some hundred mutated
inputs of each kind, always the same. `make fuzz` looks for more, guided by what the code covers.
"""

import random
from pathlib import Path

import pytest

from tests.support.fuzzing.corpus import kept
from tests.support.fuzzing.parser import tried
from tests.support.fuzzing.parsers import PARSERS

INPUTS = 60


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser(name: str, tmp_path: Path) -> None:
    """The corpus holds what fuzzing reached, and what it found once it is mended."""
    parser, chance = PARSERS[name], random.Random(name)
    read = tried(parser, tmp_path)
    for data in (before := kept(name)):
        read(data)
    pool = [*parser.seeds(), *before]
    for number in range(INPUTS):
        data = parser.mutate(chance.choice(pool), chance)
        try:
            read(data)
        except RuntimeError as error:
            raise AssertionError(f"input {number} of {name}: {data[:2000]!r}") from error
