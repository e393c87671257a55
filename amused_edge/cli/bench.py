"""`amused-edge bench`: latency, quality and compare."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from amused_edge.benchmarks.report.run_folder import RECORDS_NAME, is_new
from amused_edge.cli import console, options
from amused_edge.cli.command import Command, Group
from amused_edge.cli.progress import Report, progress

bundles = click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")


def _checked(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """Return --out, where a run can begin or may go on."""
    is_new(value)
    return value


def out(default: str) -> Callable[[Any], Any]:
    """Return the option --out."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        callback=_checked,
        help="Folder of the run: a new one, or that of an interrupted run, which goes on.",
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@click.group(cls=Group)
def bench() -> None:
    """Measure bundles against each other: results.json, report.md and report.html."""


@bench.command(cls=Command, extras=("bench",))
@bundles
@out("bench-latency")
@click.option("--prompt", type=options.TextType(), default="a red fox in the snow", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--steps", type=options.ListOf(int), help="One or several, as 4,8,12.  [default: the first bundle's]")
@click.option("--guidance", type=options.ListOf(float), help="One or several.  [default: the first bundle's]")
@click.option("--threads", type=options.ListOf(int), help="Of the engine, one or several.  [default: the engine's]")
@click.option("--batch", type=options.ListOf(int), default="1", show_default=True, help="Pictures asked for at once.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of each bundle.")
@click.option("--pictures", type=int, default=1, show_default=True, help="Whole pictures in a turn.")
@click.option("--calls", type=int, default=5, show_default=True, help="Of each graph in a turn.")
@options.quiet
def latency(
    bundles: tuple[Path, ...],
    out: Path,
    prompt: str,
    seed: int,
    steps: tuple[int, ...] | None,
    guidance: tuple[float, ...] | None,
    threads: tuple[int, ...] | None,
    batch: tuple[int, ...],
    rounds: int,
    pictures: int,
    calls: int,
    quiet: bool,
) -> None:
    """Measure time and memory of BUNDLEs in turns; the first is the baseline."""
    from amused_edge.benchmarks.latency.bench import bench_latency
    from amused_edge.benchmarks.latency.measure import LatencyOptions
    from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
    from amused_edge.benchmarks.subjects.settings import settings_grid

    specs = bundle_specs(bundles)
    settings = settings_grid(bundles[0], steps, guidance)
    chosen = LatencyOptions(prompt, seed, settings, threads or (None,), batch, rounds, pictures, calls)
    with _resumable(out, quiet) as report:
        bench_latency(specs, chosen, out, report)


@bench.command(cls=Command, extras=("bench",))
@bundles
@out("bench-quality")
@click.option("--reference", type=click.Path(path_type=Path), help="A bundle.  [default: the first BUNDLE]")
@options.prompts
@click.option(
    "--count", type=int, help="Take so many of the prompts, drawn at random, always the same.  [default: all]"
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--judge", type=click.Path(path_type=Path), help="Folder of a judge; its prompts are the default ones.")
@click.option("--lpips", type=click.Path(path_type=Path), help="LPIPS as an ONNX file.")
@click.option("--embedder", type=click.Path(path_type=Path), help="ONNX file that gives the features of KID and FID.")
@click.option(
    "--real", type=click.Path(path_type=Path), help="Folder of real pictures, for KID and FID with --embedder."
)
@click.option("--clip", type=click.Path(path_type=Path), help="Folder of a CLIP (ONNX or transformers), for its score.")
@options.simulate
@options.sampler
@options.quiet
def quality(
    bundles: tuple[Path, ...],
    out: Path,
    reference: Path | None,
    prompts: Path | None,
    count: int | None,
    seed: int,
    judge: Path | None,
    lpips: Path | None,
    embedder: Path | None,
    real: Path | None,
    clip: Path | None,
    simulate: Any,
    steps: int | None,
    guidance: float | None,
    temperature: Any,
    schedule: Any,
    quiet: bool,
) -> None:
    """Compare what BUNDLEs draw with what the reference draws, prompt by prompt."""
    from amused_edge.benchmarks.quality.bench import QualityOptions, bench_quality
    from amused_edge.benchmarks.quality.sources import choose_prompts, open_sources
    from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.sampling.options import GenerationOptions

    everyone = [*([] if reference is None else [reference]), *bundles]
    specs = bundle_specs(everyone, simulate=simulate)
    sources = open_sources(judge=judge, lpips=lpips, embedder=embedder, real=real, clip=clip)
    given = GenerationOptions(
        seed=seed, steps=steps, guidance_scale=guidance, temperature=temperature, schedule=schedule
    )
    settings = given.settings(Bundle.open(everyone[0]).manifest.sampler)
    chosen = QualityOptions(choose_prompts(prompts, sources.tools.judge, count), settings, given.seed)
    with _resumable(out, quiet) as report:
        bench_quality(specs, chosen, sources, out, report)


@bench.command(cls=Command, extras=("bench",))
@bundles
@out("bench-compare")
@click.option("--steps", type=options.ListOf(int), required=True, help="Several, as 4,8,12.")
@click.option("--guidance", type=options.ListOf(float), help="One or several.  [default: the first bundle's]")
@options.prompts
@click.option(
    "--count", type=int, help="Take so many of the prompts, drawn at random, always the same.  [default: all]"
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=int, help="Of the engine.  [default: the engine's]")
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of each bundle, for time and memory.")
@click.option("--judge", type=click.Path(path_type=Path), help="Folder of a judge; its prompts are the default ones.")
@click.option("--clip", type=click.Path(path_type=Path), help="Folder of a CLIP (ONNX or transformers), for its score.")
@options.quiet
def compare(
    bundles: tuple[Path, ...],
    out: Path,
    steps: tuple[int, ...],
    guidance: tuple[float, ...] | None,
    prompts: Path | None,
    count: int | None,
    seed: int,
    threads: int | None,
    rounds: int,
    judge: Path | None,
    clip: Path | None,
    quiet: bool,
) -> None:
    """Weigh quality against time and memory: every BUNDLE with every number of steps and guidance scale."""
    from amused_edge.benchmarks.compare.bench import CompareOptions, bench_compare
    from amused_edge.benchmarks.quality.sources import choose_prompts, open_sources
    from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
    from amused_edge.benchmarks.subjects.settings import settings_grid

    specs = bundle_specs(bundles)
    tools = open_sources(judge=judge, clip=clip).tools
    grid = settings_grid(bundles[0], steps, guidance)
    chosen = CompareOptions(choose_prompts(prompts, tools.judge, count), grid, seed, threads, rounds)
    with _resumable(out, quiet) as report:
        bench_compare(specs, chosen, tools, out, report)


@contextmanager
def _resumable(out: Path, quiet: bool) -> Iterator[Report]:
    """Give a progress bar with an estimate; say what is kept if the run stops early, and where the report is."""
    had = _size(out / RECORDS_NAME)
    try:
        with progress(quiet, estimate=True) as report:
            yield report
    except BaseException:
        if _size(out / RECORDS_NAME) > had:
            console.complain(f"what was measured is kept in {out}; the same command goes on from there")
        raise
    if not quiet:
        console.say(f"{out / 'report.html'}")
