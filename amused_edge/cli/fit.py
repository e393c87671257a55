"""`amused-edge fit`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option, option_group

from amused_edge.cli import console
from amused_edge.cli.command import Command
from amused_edge.cli.values import PATH
from amused_edge.runtime.errors import quoted

if TYPE_CHECKING:
    from amused_edge.benchmarks.prediction.shape import Shape

_UNITS = {"MB": 1e6, "GB": 1e9, "MIB": 2.0**20, "GIB": 2.0**30}


class SizeType(click.ParamType[float]):
    """Memory with its unit: 4GB, 3.5 GiB, 800MB."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return bytes."""
        if not isinstance(value, str):
            return float(value)
        parts = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)
        if parts is None or parts[2].upper() not in _UNITS:
            self.fail(f"{quoted(value)} is not a number with MB, GB, MiB or GiB behind it", param, ctx)
        return float(parts[1]) * _UNITS[parts[2].upper()]


@click.command(
    cls=Command,
    short_help="Predict a device's memory and time.",
    examples=("amused-edge fit amused-w8 --ram 2GB", "amused-edge fit amused-fp32 --ram 3GB --gflops 60 --gops 240"),
)
@click.argument("bundle", type=PATH)
@option_group(
    "Device",
    option("--ram", type=SizeType(), required=True, help="What the program may take, as 4GB: not all that there is."),
    option("--gflops", type=click.FloatRange(0, min_open=True), metavar="X", help="Its float32 peak, 10^9 a second."),
    option("--gops", type=click.FloatRange(0, min_open=True), metavar="X", help="Its 8-bit peak, 10^9 a second."),
)
def fit(bundle: Path, ram: float, gflops: float | None, gops: float | None) -> None:
    """Predict from BUNDLE's manifest the memory that drawing takes, whether it fits, and how long a picture takes.

    Of a float32 bundle, also what each recipe would make of it. Peaks of a CPU are what `bench latency` measures.
    """
    from amused_edge.benchmarks.prediction.shape import SHARES, Shape
    from amused_edge.runtime.bundle.folder import Bundle

    manifest = Bundle.open(bundle).manifest
    shape = Shape.of(manifest)
    for line in _roles(shape):
        console.say(line)
    choices = {quoted(manifest.model.name): shape}
    if not shape.quantized:
        choices |= {recipe: shape.by_recipe(recipe) for recipe in SHARES}
    console.say("")
    for line in _table(_choices(choices, ram, gflops, gops)):
        console.say(line)
    console.say("")
    for line in _errors(shape, gflops is not None):
        console.say(line)


def _roles(shape: "Shape") -> Iterator[str]:
    """Yield the table of graphs."""
    from amused_edge.benchmarks.prediction.memory import by_role

    rows = [("graph alone, MB", "files", "loaded", "peak")]
    for role, each in by_role(shape).items():
        rows.append((role, _mb(each.files), _mb(each.held), _mb(each.held + each.call)))
    yield from _table(rows)


def _choices(
    choices: dict[str, "Shape"], ram: float, gflops: float | None, gops: float | None
) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of bundles."""
    from amused_edge.benchmarks.prediction.memory import kept, low

    yield ("bundle", "files, MB", "peak, MB", "--low-memory", f"in {ram / 1e6:.0f} MB", "seconds a picture")
    for name, shape in choices.items():
        peaks = kept(shape), low(shape)
        fits = "fits" if peaks[0] <= ram else "with --low-memory" if peaks[1] <= ram else "no"
        yield (name, _mb(sum(shape.files.values())), _mb(peaks[0]), _mb(peaks[1]), fits, _time(shape, gflops, gops))


def _time(shape: "Shape", gflops: float | None, gops: float | None) -> str:
    from amused_edge.benchmarks.prediction.time import eight_bits, seconds

    if gflops is None or (eight_bits(shape) and gops is None):
        return "needs --gops" if gflops is not None else "needs --gflops"
    return f"{seconds(shape, gflops * 1e9, (gops or gflops) * 1e9):.3g}"


def _errors(shape: "Shape", timed: bool) -> Iterator[str]:
    """Yield how much is predicted, and how well."""
    from amused_edge.benchmarks.prediction import known
    from amused_edge.benchmarks.prediction.memory import row_cache
    from amused_edge.benchmarks.prediction.time import work

    if shape.kept_rows:
        yield f"row cache   {_mb(row_cache(shape))} MB more while a picture is drawn with --row-cache"
    parts = work(shape)
    yield (
        f"work        {parts.steps} steps of {(parts.step + parts.attention) / 1e9:.3g} and a decoder of "
        f"{parts.decoder / 1e9:.3g}: {parts.total / 1e9:.3g} times 10^9 operations"
    )
    errors = known.memory_errors()
    yield (
        f"error       of memory {min(errors):+.0%} to {max(errors):+.0%} where amused-256 and -512 were measured, "
        f"{len(errors)} times"
    )
    if timed:
        errors = known.time_errors()
        yield f"            of time {min(errors):+.0%} to {max(errors):+.0%}, {len(errors)} times, given the peaks"
    yield "            on x86 with ONNX Runtime 1.32; never on a phone. Other models may be further off"


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f}"


def _table(rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield lines with columns as wide as they must be."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *right])
