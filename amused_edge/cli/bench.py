"""`amused-edge bench`: latency, quality, compare and import."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cloup import option, option_group
from cloup.typing import Decorator

from amused_edge.benchmarks.report.run_folder import RECORDS_NAME, is_new
from amused_edge.cli import cluster, console, options
from amused_edge.cli.bench_search import SEARCH, check_search
from amused_edge.cli.command import Command, Group
from amused_edge.cli.progress import Report, progress
from amused_edge.cli.values import PATH, ListOf, TextType

if TYPE_CHECKING:
    from amused_edge.benchmarks.compare.search import SearchOptions
    from amused_edge.benchmarks.prediction.plan import Drawing
    from amused_edge.benchmarks.quality.metrics import Instruments
    from amused_edge.benchmarks.subjects.subject import SubjectSpec
    from amused_edge.runtime.sampling.options import SamplerSettings

bundles = click.argument("bundles", nargs=-1, required=True, type=PATH, metavar="BUNDLE...")
prompt = option("--prompt", type=TextType(), default="a red fox in the snow", show_default=True)
seed = option("--seed", type=int, metavar="N", default=0, show_default=True)
rounds = option("--rounds", type=int, metavar="N", default=5, show_default=True, help="Turns of each bundle.")
guidances = option("--guidance", type=ListOf(float), help="One or several.  [default: the first bundle's]")
step_counts = option("--steps", type=ListOf(int), help="One or several, as 4,8,12.  [default: the first bundle's]")
pictures = option("--pictures", type=int, metavar="N", default=1, show_default=True, help="Whole pictures in a turn.")
calls = option("--calls", type=int, metavar="N", default=5, show_default=True, help="Of each graph in a turn.")
thread_counts = option("--threads", type=ListOf(int), help="Of the engine, one or several.  [default: the engine's]")
DRAWN: tuple[Decorator, ...] = (prompt, seed, step_counts, guidances)
TURNS: tuple[Decorator, ...] = (rounds, pictures, calls, thread_counts)
count = option(
    "--count",
    type=int,
    metavar="N",
    help="Take so many prompts, at random, always the same.  [default: all]",
)
judge = option("--judge", type=PATH, metavar="FOLDER", help="Of a judge; its prompts are the default ones.")
clip = option("--clip", type=PATH, metavar="FOLDER", help="Of a CLIP (ONNX or transformers), for its score.")


def _checked(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """Return --out, where a run can begin or may go on."""
    is_new(value)
    return value


def out(default: str) -> Decorator:
    """Return the option --out."""
    return option(
        "--out",
        type=PATH,
        metavar="FOLDER",
        default=default,
        show_default=True,
        callback=_checked,
        help="Of the run: a new one, or that of an interrupted run, which goes on.",
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@click.group(cls=Group, short_help="Measure bundles against each other.")
def bench() -> None:
    """Measure bundles against each other: results.json, report.md and report.html."""


@bench.command(
    cls=Command,
    short_help="Time and memory of bundles.",
    extras=("bench",),
    examples=(
        "amused-edge bench latency amused-fp32 amused-w8",
        "amused-edge bench latency amused-w8 --steps 4,8,12 --threads 1,2,4",
    ),
)
@bundles
@option_group(
    "What is drawn",
    *DRAWN,
    option("--batch", type=ListOf(int), default="1", show_default=True, help="Pictures asked for at once."),
)
@option_group("How it is measured", *TURNS)
@option_group("Output", out("bench-latency"))
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


@bench.command(
    cls=Command,
    short_help="What bundles draw against a reference.",
    extras=("bench",),
    examples=(
        "amused-edge bench quality amused-fp32 amused-w8 amused-w4",
        "amused-edge bench quality amused-w8 --reference amused-fp32 --count 16",
    ),
)
@bundles
@option_group(
    "What is drawn",
    option("--reference", type=PATH, metavar="BUNDLE", help="[default: the first BUNDLE]"),
    options.prompts,
    count,
    seed,
)
@option_group("Sampler", *options.SAMPLER)
@option_group(
    "Instruments",
    judge,
    clip,
    option("--lpips", type=PATH, metavar="FILE", help="LPIPS as an ONNX file."),
    option("--embedder", type=PATH, metavar="FILE", help="ONNX file that gives the features of KID and FID."),
    option("--real", type=PATH, metavar="FOLDER", help="Of real pictures, for KID and FID with --embedder."),
)
@option_group("Engine", cluster.threads, options.simulate)
@option_group("Cluster", *cluster.CLUSTER)
@option_group("Output", out("bench-quality"))
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
    threads: int | None,
    simulate: Any,
    ray: str | None,
    plan: tuple[int, ...] | None,
    latency: Path | None,
    quiet: bool,
    **sampler: Any,
) -> None:
    """Compare what BUNDLEs draw with what the reference draws, prompt by prompt."""
    from amused_edge.benchmarks.quality.bench import QualityOptions, bench_quality
    from amused_edge.benchmarks.quality.sources import choose_prompts, open_sources
    from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
    from amused_edge.runtime.bundle.folder import Bundle

    cluster.check_plan(plan, latency)
    everyone = [*([] if reference is None else [reference]), *bundles]
    specs = bundle_specs(everyone, simulate=simulate, threads=threads)
    sources = open_sources(judge=judge, lpips=lpips, embedder=embedder, real=real, clip=clip)
    given = options.generation_options(seed=seed, **sampler)
    settings = given.settings(Bundle.open(everyone[0]).manifest.sampler)
    chosen = QualityOptions(choose_prompts(prompts, sources.tools.judge, count), settings, given.seed)
    if plan is not None:
        drawings = [_drawing(spec, settings, chosen.prompts, 1 if spec is specs[0] else 2) for spec in specs]
        cluster.tell_plan(drawings, plan, latency)
        return
    with cluster.crew(ray, threads) as crew, _resumable(out, quiet) as report:
        bench_quality(specs, chosen, sources, out, report, crew)


@bench.command(
    cls=Command,
    short_help="Quality against time and memory.",
    extras=("bench",),
    examples=(
        "amused-edge bench compare amused-fp32 amused-w8 --steps 4,8,12",
        "amused-edge bench compare amused-w8 --steps 4,8 --order moment --search 0.3",
    ),
)
@bundles
@option_group(
    "What is drawn",
    option("--steps", type=ListOf(int), required=True, help="Several, as 4,8,12."),
    guidances,
    options.prompts,
    count,
    seed,
)
@option_group(
    "How it is measured",
    rounds,
    judge,
    clip,
    cluster.threads,
)
@option_group("Search", *SEARCH)
@option_group("Cluster", *cluster.CLUSTER)
@option_group("Output", out("bench-compare"))
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
    ray: str | None,
    plan: tuple[int, ...] | None,
    latency: Path | None,
    quiet: bool,
    search: float | None,
    **searched: Any,
) -> None:
    """Weigh quality against time and memory: every BUNDLE with every number of steps and guidance scale."""
    from amused_edge.benchmarks.compare.bench import CompareOptions, bench_compare
    from amused_edge.benchmarks.compare.search import SearchOptions
    from amused_edge.benchmarks.quality.sources import choose_prompts, open_sources
    from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
    from amused_edge.benchmarks.subjects.settings import search_grid, settings_grid

    check_search(search, bundles, searched, elsewhere=ray is not None or plan is not None)
    cluster.check_plan(plan, latency)
    specs = bundle_specs(bundles, threads=threads)
    tools = open_sources(judge=judge, clip=clip).tools
    drawn = choose_prompts(prompts, tools.judge, count)
    if search is not None:
        own, tried = search_grid(bundles[0], steps, guidance, **searched)
        asked = SearchOptions(drawn, own, tried, search, seed, threads, rounds)
        _search(specs[0], asked, tools, out, quiet)
        return
    grid = settings_grid(bundles[0], steps, guidance)
    if plan is not None:
        cluster.tell_plan([_drawing(spec, settings, drawn) for spec in specs for settings in grid], plan, latency)
        return
    chosen = CompareOptions(drawn, grid, seed, threads, rounds)
    with cluster.crew(ray, threads) as crew, _resumable(out, quiet) as report:
        bench_compare(specs, chosen, tools, out, report, crew)


def _drawing(spec: "SubjectSpec", settings: "SamplerSettings", prompts: tuple[str, ...], passes: int = 1) -> "Drawing":
    """Return what a bundle is to draw, for an estimate."""
    from amused_edge.benchmarks.prediction.plan import Drawing

    return Drawing(spec.label, spec.facts["manifest_sha256"], settings, len(prompts), passes)


def _search(spec: "SubjectSpec", asked: "SearchOptions", tools: "Instruments", out: Path, quiet: bool) -> None:
    """Search, and say what was found."""
    from amused_edge.benchmarks.compare.search import search_settings

    with _resumable(out, quiet) as report:
        found = search_settings(spec, asked, tools, out, report)
    if not quiet:
        console.say(found.line())


@bench.command(
    "import",
    cls=Command,
    short_help="Phones' and browsers' results beside each other.",
    extras=("bench",),
    examples=(
        "amused-edge bench import phone.json bench-phone",
        "amused-edge bench import phone.json bench-latency/results.json both",
    ),
)
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.argument("out", type=PATH, metavar="OUT")
@options.quiet
def import_(files: tuple[Path, ...], out: Path, quiet: bool) -> None:
    """Read FILEs, results.json of latency benchmarks that were run here or on devices, into one report in OUT."""
    from amused_edge.benchmarks.device.bench import import_results

    import_results(files, out)
    if not quiet:
        console.say(f"{out / 'report.html'}")


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
