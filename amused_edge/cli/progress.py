"""Progress on the terminal: a bar on stderr, nothing with `--quiet` or where stderr is no terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from amused_edge.runtime.errors import one_line
from amused_edge.runtime.hub.progress import downloads_shown_by

Report = Callable[[str, int, int], None]
"""(description, how much is done, of how much)."""


_MEMORY = 3600.0
"""Seconds of the past that an estimate is made from: one piece of work may take minutes."""

_WIDTH = 60
"""Most letters of a description: it may have the name of a file in it."""


@contextlib.contextmanager
def progress(quiet: bool, *, estimate: bool = False) -> Iterator[Report]:
    """Give a function that moves the bar; with an estimate, it says how long it will take. Downloads move it too."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    # The stream of now: a library whose noise is kept away may borrow the name. Whether it is a terminal is asked of it
    # alone: variables that ask for colours in a file must not bring a moving cursor.
    console = Console(file=sys.stderr, force_terminal=sys.stderr.isatty())
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    ]
    if estimate:
        columns += [TextColumn("left:"), TimeRemainingColumn()]
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=quiet or not (sys.stderr.isatty() and console.is_interactive),
        speed_estimate_period=_MEMORY,
    ) as bar:
        task = bar.add_task("", total=None)
        begun = False

        def report(description: str, done: int, total: int) -> None:
            nonlocal begun
            if not begun:  # what an earlier run did is not this one's speed
                bar.reset(task, completed=done, total=total)
                begun = True
            bar.update(task, description=one_line(description, _WIDTH), completed=done, total=total)

        with downloads_shown_by(report):
            yield report
