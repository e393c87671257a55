"""`amused-edge card`."""

from pathlib import Path

import click

from amused_edge.cli import console
from amused_edge.cli.command import Command
from amused_edge.cli.values import PATH


@click.command(
    cls=Command,
    short_help="Write a bundle's model card anew.",
    examples=("amused-edge card amused-w8", "amused-edge card OWNER/NAME --print"),
)
@click.argument("bundle", type=PATH)
@click.option("--force", is_flag=True, help="Also over a card that was edited.")
@click.option("--print", "printed", is_flag=True, help="Print it, and write nothing.")
def card(bundle: Path, force: bool, printed: bool) -> None:
    """Write README.md beside the manifest of BUNDLE: what it is, what was measured, how it is used.

    All of it comes from the manifest. One that somebody edited stays, unless --force is given.
    """
    from amused_edge.runtime import Bundle
    from amused_edge.runtime.bundle.card.file import write_card
    from amused_edge.runtime.bundle.card.text import card_text

    opened = Bundle.open(bundle)
    if printed:
        console.say(card_text(opened.manifest).rstrip("\n"))
    else:
        console.say(str(write_card(opened, force=force)))
