"""`amused-edge bench compare --search`: its options."""

from pathlib import Path
from typing import Any

import click
from click import Choice
from cloup import option
from cloup.typing import Decorator

from amused_edge.cli.values import ListOf
from amused_edge.runtime.sampling.options import ORDERS

SEARCH: tuple[Decorator, ...] = (
    option(
        "--search",
        type=float,
        metavar="LOSS",
        help="Of one BUNDLE, find the least work that loses so much quality at most against its own settings.",
    ),
    option("--temperature", type=ListOf(float), help="Of the first step, one or several; 0 at the last."),
    option("--order", type=Choice(ORDERS), multiple=True, help="May be given several times."),
    option("--entropy-bound", type=ListOf(float), help="In nats, one or several."),
    option("--row-cache", type=ListOf(int), metavar="K[,K...]", help="Of a bundle exported with it, one or several."),
)


def check_search(
    loss: float | None, bundles: tuple[Path, ...], searched: dict[str, Any], *, elsewhere: bool = False
) -> None:
    """Raise `click.UsageError` where options of a search do not go together; `elsewhere`: on a cluster, or planned."""
    given = [name for name, value in searched.items() if value]
    if loss is None and given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} goes with --search")
    if loss is not None and len(bundles) > 1:
        raise click.UsageError(f"--search takes one BUNDLE, as each has settings of its own; {len(bundles)} were given")
    if loss is not None and elsewhere:
        raise click.UsageError("--search goes on from what it found, on this machine; leave out --ray and --plan")
