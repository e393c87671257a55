"""Commands that write, with a file-changing system call that fails, or that the process does not live to make: some of
what `make faults` tries, by chance, always the same. Outputs are whole or not there, and a second run succeeds.
"""

import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from amused_edge.cli.bench import bench
from amused_edge.cli.program import commands
from tests.support.faults.campaign import of_each_kind
from tests.support.faults.commands import NOT_HERE, bench_commands, bundle_commands, drawing_commands
from tests.support.faults.hub import hub_commands
from tests.support.faults.short import try_some
from tests.support.faults.supervised import supported

if TYPE_CHECKING:
    from tests.support.faults.hub import ServedHub


def test_calls_of_each_kind() -> None:
    """The last of each, and others by chance."""
    kinds = ["open", "write", "write", "write", "rename", "open"]
    assert of_each_kind(kinds, 1, random.Random(0)) == [3, 4, 5]
    for seed in range(9):
        two = of_each_kind(kinds, 2, random.Random(seed))
        assert len(two) == 5
        assert {0, 3, 4, 5} < set(two)
    assert of_each_kind(kinds, 9, random.Random(0)) == [0, 1, 2, 3, 4, 5]


def test_every_command_is_tried_or_it_is_said_why_not() -> None:
    """A command that comes later must not be forgotten."""
    folder, hub = Path("folder"), cast("ServedHub", None)
    makers = drawing_commands(folder) | bundle_commands(defaultdict(lambda: folder)) | hub_commands(folder, hub, ())
    makers |= bench_commands(folder, folder, folder)
    arguments = [make().arguments for make in makers.values()]
    tried = {" ".join(words[: 2 if words[0] == "bench" else 1]) for words in arguments}
    known = set(commands.commands) - {"bench"} | {f"bench {name}" for name in bench.commands}
    assert tried | set(NOT_HERE) == known
    assert not tried & set(NOT_HERE)


@pytest.mark.skipif(bool(supported()), reason=supported() or "-")
@pytest.mark.parametrize("command", ["generate, companions", "generate, resume", "cache, clear"])
def test_a_command(command: str, tmp_path: Path) -> None:
    try_some(command, tmp_path, sample=3)
