"""`amused-edge bench device`: its arguments, and the code that a phone's camera reads."""

import io
from pathlib import Path
from typing import Any

import click
from click import Choice, IntRange
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.bench import DRAWN, TURNS, bundles, out
from amused_edge.cli.command import Command
from amused_edge.cli.serve import place, serving, take_place
from amused_edge.cli.values import PATH

EVERYWHERE = "0.0.0.0"


@click.command(
    cls=Command,
    short_help="Time and quality of bundles on phones.",
    extras=("bench", "serve"),
    examples=(
        "amused-edge bench device amused-w8 amused-w4",
        "amused-edge bench device amused-w8 --reference amused-fp32 --tls --phones 2",
    ),
)
@bundles
@option_group(
    "What is drawn",
    *DRAWN,
    option("--reference", type=PATH, metavar="BUNDLE", help="For quality.  [default: the first BUNDLE]"),
)
@option_group(
    "How it is measured",
    *TURNS,
    option("--provider", type=Choice(["wasm", "webgpu"]), default="wasm", show_default=True),
    option("--phones", type=IntRange(1), metavar="N", help="End when so many are done.  [default: at Ctrl-C]"),
)
@option_group("Address", *place(EVERYWHERE))
@option_group("Output", out("bench-device"))
@options.quiet
def device(
    bundles: tuple[Path, ...],
    out: Path,
    prompt: str,
    seed: int,
    steps: tuple[int, ...] | None,
    guidance: tuple[float, ...] | None,
    reference: Path | None,
    rounds: int,
    pictures: int,
    calls: int,
    threads: tuple[int, ...] | None,
    provider: str,
    phones: int | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Measure BUNDLEs in the browsers of phones, which open the address that is shown; the first is the baseline.

    What a phone has measured is kept as it comes; it goes on after a reload.
    """
    from amused_edge.benchmarks.device.collection import Collection, DevicePlan
    from amused_edge.benchmarks.device.quality import Scales
    from amused_edge.benchmarks.latency.measure import LatencyOptions
    from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
    from amused_edge.benchmarks.subjects.settings import settings_grid
    from amused_edge.runtime import AmusedPipeline
    from amused_edge.serve.http.page import page_files
    from amused_edge.serve.shelf import Shelf

    specs, shelf, files = bundle_specs(bundles), Shelf(bundles), page_files()
    grid = settings_grid(bundles[0], steps, guidance)
    chosen = LatencyOptions(prompt, seed, grid, threads or (None,), (1,), rounds, pictures, calls)
    ids = dict(zip([spec.label for spec in specs], shelf.entries, strict=True))
    weighing = AmusedPipeline.from_bundle(reference or bundles[0])

    def news(text: str) -> None:
        if not quiet:
            console.complain(text)

    with weighing:
        plan = DevicePlan(tuple(specs), chosen, provider, ids)
        collection = Collection(plan, lambda: Scales(weighing, prompt, grid[0], seed), out, news)
        with serving(shelf, files, take_place(given), bench=collection) as (server, addresses):
            console.say("\n".join([*addresses, qr_code(addresses[0])]))
            while not server.ended.is_set() and not collection.wait(phones or 10**9, 0.5):
                pass
        collection.finish()
    if not quiet:
        console.say(f"{out / 'report.html'}")


def qr_code(text: str) -> str:
    """Return a code for cameras, in half blocks where the terminal has them."""
    import segno

    shown = io.StringIO()
    code = segno.make(text, error="m", micro=False)
    if console.encodes("\u2580\u2584\u2588"):
        code.terminal(shown, compact=True)
    return shown.getvalue().rstrip("\n")
