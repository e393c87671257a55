"""Progress on the terminal: a bar on stderr, nothing with `--quiet` or where stderr is no terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator

Report = Callable[[str, int, int], None]
"""(description, how much is done, of how much)."""


_MEMORY = 3600.0
"""Seconds of the past that an estimate is made from: one piece of work may take minutes."""


@contextlib.contextmanager
def progress(quiet: bool, *, estimate: bool = False) -> Iterator[Report]:
    """Give a function that moves the bar; with an estimate, it says how long it will take."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)  # the stream of now: a library whose noise is kept away may borrow the name
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if estimate:
        columns += [TextColumn("left:"), TimeRemainingColumn()]
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
        speed_estimate_period=_MEMORY,
    ) as bar:
        task = bar.add_task("", total=None)
        begun = False

        def report(description: str, done: int, total: int) -> None:
            nonlocal begun
            if not begun:  # what an earlier run did is not this one's speed
                bar.reset(task, completed=done, total=total)
                begun = True
            bar.update(task, description=description, completed=done, total=total)

        yield report
