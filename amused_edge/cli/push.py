"""`amused-edge push`."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import Choice
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.values import PATH
from amused_edge.runtime.errors import one_line

if TYPE_CHECKING:
    from amused_edge.runtime.bundle.push import PushPlan


def _refuse_token(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            "a token does not belong on a command line, where other users of the machine and the shell's history see "
            "it; log in with `hf auth login`, or set HF_TOKEN. If this one was real, revoke it"
        )


@click.command(
    cls=Command,
    short_help="Send a bundle to the Hugging Face hub.",
    extras=("hub",),
    examples=(
        "amused-edge push amused-w8 OWNER/NAME --dry-run",
        "amused-edge push amused-w8 OWNER/NAME/w8 --private",
    ),
)
@click.argument("bundle", type=PATH)
@click.argument("target", metavar="OWNER/NAME[/FOLDER]")
@option_group(
    "Repository",
    option("--private", is_flag=True, help="Make it private, if it is made now."),
    option("--revision", metavar="BRANCH", help="To send to; it is made if it is not there.  [default: main]"),
    option("--card", type=Choice(["bundle", "hub"]), help="Whose README.md stays, where both were edited."),
    option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing."),
    option(
        "--token",
        "--hf-token",
        "--api-token",
        "--access-token",
        hidden=True,
        expose_value=False,
        callback=_refuse_token,
    ),
)
@options.quiet
def push(bundle: Path, target: str, private: bool, revision: str | None, card: Any, dry_run: bool, quiet: bool) -> None:
    """Verify BUNDLE and send it to a repository on the Hugging Face hub, which is made if it is not there.

    All of it becomes one commit. What arrived before an interruption is not sent again: repeat the command. The token
    is that of `hf auth login`, or HF_TOKEN.
    """
    from amused_edge.runtime import Bundle
    from amused_edge.runtime.bundle.push import plan_push, push
    from amused_edge.runtime.hub.upload import quiet_uploads

    plan = plan_push(Bundle.open(bundle), target, revision=revision, private=private, card=card)
    if dry_run or not quiet:
        console.say("\n".join(map(one_line, _lines(plan))))
    for note in plan.notes:
        console.complain(f"note: {note}")
    if dry_run:
        return
    with contextlib.nullcontext() if sys.stderr.isatty() and not quiet else quiet_uploads():
        page = push(plan)
    if not quiet:
        console.say(page)


def _lines(plan: "PushPlan") -> list[str]:
    """Return what a plan does, in lines for people."""
    remote, sizes = plan.remote, plan.sizes
    state = f"there, {'private' if remote.private else 'public'}" if remote.exists else "to be made"
    lines = [f"{remote.address}: {state}{', private' if plan.private else ''}"]
    lines += [f"send     {size / 1e6:>9.1f} MB  {place}" for place, size in sizes.items()]
    lines += [f"remove                {place}" for place in plan.removed]
    return [*lines, f"{len(sizes)} to send, {sum(sizes.values()) / 1e6:.1f} MB; {plan.present} there already"]
