"""Options of commands whose pictures a Ray cluster may draw, and the crew and the estimate that they ask for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cloup import option
from cloup.typing import Decorator

from amused_edge.cli import console
from amused_edge.cli.values import PATH, ListOf

if TYPE_CHECKING:
    from amused_edge.benchmarks.cluster.crew import Crew
    from amused_edge.benchmarks.prediction.plan import Drawing

CLUSTER: tuple[Decorator, ...] = (
    option(
        "--ray",
        metavar="[ADDRESS]",
        is_flag=False,
        flag_value="auto",
        help="Draw on a Ray cluster: at HOST:PORT, auto (this machine's) or local (one for this run).  [or else: auto]",
    ),
    option("--plan", type=ListOf(int), metavar="N[,N...]", help="Draw nothing; tell the hours on so many nodes."),
    option("--latency", type=PATH, metavar="FOLDER", help="Of a `bench latency` that the plan takes its times from."),
)
threads = option("--threads", type=int, metavar="N", help="Of the engine.  [default: the engine's]")


@contextmanager
def crew(address: str | None, threads: int | None) -> Iterator["Crew"]:
    """Give the crew of a cluster; without an address, this process."""
    from amused_edge.benchmarks.cluster.crew import Alone

    if address is None:
        yield Alone()
        return
    from amused_edge.benchmarks.cluster.connect import ray_crew

    with ray_crew(address, threads) as found:
        yield found


def tell_plan(drawings: "Sequence[Drawing]", nodes: Sequence[int], latency: Path | None) -> None:
    """Print what drawing would take on so many nodes."""
    from amused_edge.benchmarks.prediction.plan import plan

    console.say("\n".join(plan(drawings, latency).lines(nodes)))


def check_plan(plan: Sequence[int] | None, latency: Path | None) -> None:
    """Raise `click.UsageError` where options do not go together."""
    if latency is not None and plan is None:
        raise click.UsageError("--latency is for a --plan")
    if plan is not None and min(plan) < 1:
        raise click.UsageError(f"--plan {','.join(map(str, plan))}: a number of nodes is 1 or more")
