"""Where a command runs: folders for its outputs, its cache, its temporary files and what it downloads."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.supervised import Call, Ended, Verdict, run

Tree = dict[str, str]
"""Path below a folder -> hash of the file's content, or "folder"."""

WATCHED = ("place", "cache", "temporary", "hub")

_RANDOM = re.compile(
    r"partial-.*?-\d+-[0-9a-f]+|[0-9a-f]{16,}|(?<=tmp)[a-z0-9_]{8}|(?<=amused-edge-)[a-z0-9_]{8}|(?<=/)[a-z0-9_]{8}$"
    r"|(?<=\.data\.)[a-z0-9_]{8}(?=/|$)|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?<=\.tmp)[0-9a-f]{7}$|(?<=/)#\d+$"
)


@dataclass(frozen=True)
class Scene:
    """Folders of one command: `place` (where it runs), `cache`, `temporary`, `hub` (what is downloaded), `notes`
    (what it says).
    """

    root: Path

    def clear(self) -> None:
        """Make all of them anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in (*WATCHED, "notes", "home"):
            (self.root / name).mkdir(parents=True)

    def tree(self, name: str) -> Tree:
        """Return what lies in one of them."""
        return tree(self.root / name)

    def watches(self, call: Call) -> bool:
        """Say whether a call changes something in the folders that a command may write to."""
        return any(Path(path).is_relative_to(self.root / name) for path in call.paths for name in WATCHED)

    def run(self, arguments: list[str], decide: Callable[[Call], Verdict], program: tuple[str, ...] = ()) -> Ended:
        """Run `amused-edge` here, or another program."""
        return run(lambda: self.command(arguments, program), decide, self.root / "notes")

    def command(self, arguments: list[str], program: tuple[str, ...] = ()) -> int:
        """Become the command; return its exit code."""
        os.chdir(self.root / "place")
        os.environ["XDG_CACHE_HOME"] = str(self.root / "cache")
        os.environ["TMPDIR"] = str(self.root / "temporary")
        os.environ["HOME"] = str(self.root / "home")
        if program:
            os.execv(program[0], [*program, *arguments])
        from amused_edge.cli import main

        tempfile.tempdir = None
        sys.argv = ["amused-edge", *arguments]
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
        return 0


def tree(folder: Path) -> Tree:
    """Return what lies in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name] = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def without_chance(name: str) -> str:
    """Return a path in which what is random, or a process's number, is the same each time."""
    return _RANDOM.sub("*", name)
