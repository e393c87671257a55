"""`amused-edge cache`."""

from datetime import datetime

import click

from amused_edge.cli import console
from amused_edge.cli.command import Command
from amused_edge.runtime.errors import quoted


@click.command(
    cls=Command,
    short_help="Show or remove graphs prepared for this CPU.",
    examples=("amused-edge cache", "amused-edge cache --clear"),
)
@click.option("--clear", is_flag=True, help="Remove them all.")
def cache(clear: bool) -> None:
    """Show the graphs that were prepared for this machine's CPU, and the disk they take.

    They are made by `amused-edge generate --cache`, and can be made again.
    """
    from amused_edge.runtime.system.prepared_store import clear_prepared, prepared_entries

    entries = clear_prepared() if clear else prepared_entries()
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).astimezone()
        console.say(f"{entry.bytes / 1e6:>9.1f} MB  used {used:%Y-%m-%d %H:%M}  {quoted(entry.label)}")
    total = sum(entry.bytes for entry in entries)
    console.say(f"{total / 1e6:>9.1f} MB  {len(entries)} graphs{' removed' if clear else ''}")
