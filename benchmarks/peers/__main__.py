"""Measures bundles and peers of the same checkpoint together, from the same prompt embeddings.

`python -m amused_edge.benchmarks.peers latency|quality OUT BUNDLE... --checkpoint CHECKPOINT --peers FOLDER`
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amused_edge.benchmarks.latency.bench import bench_latency
from amused_edge.benchmarks.latency.measure import LatencyOptions
from amused_edge.benchmarks.peers.make import make_peers
from amused_edge.benchmarks.peers.specs import peer_specs
from amused_edge.benchmarks.quality.bench import QualityOptions, bench_quality
from amused_edge.benchmarks.quality.sources import choose_prompts, open_sources
from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
from amused_edge.benchmarks.subjects.embeddings import write_embeddings
from amused_edge.benchmarks.subjects.prompts import prompts_hash
from amused_edge.benchmarks.subjects.settings import settings_grid
from amused_edge.benchmarks.subjects.subject import SubjectSpec, distinct
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, quoted
from amused_edge.runtime.pipeline import AmusedPipeline

PROMPT = "a red fox in the snow"


@dataclass(frozen=True)
class Request:
    """What was asked for, see the options; None where nothing was."""

    command: str
    out: Path
    bundles: list[Path]
    checkpoint: Path
    peers: Path
    optimum_python: Path | None
    without: str | None
    steps: list[int] | None
    guidance: list[float] | None
    threads: list[int] | None
    rounds: int
    calls: int
    judge: Path | None
    lpips: Path | None
    prompts: Path | None
    count: int | None

    @property
    def unwanted(self) -> list[str]:
        """Labels of the peers that are not measured."""
        return self.without.split(",") if self.without else []


def _subjects(
    request: Request, prompts: Sequence[str], without: Sequence[str] = ()
) -> tuple[list[SubjectSpec], list[SubjectSpec], dict[str, str]]:
    """Return peers, bundles, and why peers are left out; the first bundle's text encoder embeds the prompts for all."""
    if request.optimum_python is not None:
        make_peers(str(request.checkpoint), request.bundles[0], request.peers, request.optimum_python)
    embeddings = request.peers / f"embeddings-{prompts_hash(prompts)[:12]}.npz"
    if not request.peers.is_dir():
        raise OptionsError(f"there is no folder {request.peers}; give --optimum-python to make the peers' graphs")
    with AmusedPipeline.from_bundle(request.bundles[0]) as pipeline:
        write_embeddings(embeddings, pipeline, prompts)
    peers, left_out = peer_specs(request.checkpoint, request.peers, embeddings)
    known = {*left_out, *(spec.label for spec in peers)}
    unknown = set(without) - known
    if unknown:
        raise OptionsError(f"there is no peer {quoted(sorted(unknown)[0])}; there are: {', '.join(sorted(known))}")
    left_out |= {label: "left out by --without" for label in without if label not in left_out}
    specs = distinct(
        [*(p for p in peers if p.label not in without), *bundle_specs(request.bundles, embeddings=embeddings)]
    )
    count = len(specs) - len(request.bundles)
    return specs[:count], specs[count:], left_out


def _latency(request: Request) -> None:
    settings = settings_grid(request.bundles[0], request.steps, request.guidance)
    options = LatencyOptions(
        PROMPT, 0, settings, tuple(request.threads or (None,)), rounds=request.rounds, calls=request.calls
    )
    peers, bundles, left_out = _subjects(request, [PROMPT], request.unwanted)
    bench_latency([*peers, *bundles], options, request.out, _say, left_out=left_out)


def _quality(request: Request) -> None:
    """The first bundle is the reference; nobody draws with diffusers' own random numbers here."""
    sources = open_sources(judge=request.judge, lpips=request.lpips)
    prompts = choose_prompts(request.prompts, sources.tools.judge, request.count)
    compiled = "diffusers-fp32-compiled"  # computes the same
    peers, bundles, left_out = _subjects(request, prompts, [*request.unwanted, compiled])
    for label, reason in left_out.items():
        _say(f"{label}: {reason}", 0, len(prompts))
    settings = settings_grid(request.bundles[0], request.steps, request.guidance)[0]
    bench_quality([*bundles, *peers], QualityOptions(prompts, settings), sources, request.out, _say)


def _say(description: str, done: int, total: int) -> None:
    print(f"{done}/{total} {description}", file=sys.stderr, flush=True)


def _main() -> int:
    parser = argparse.ArgumentParser(description="Measure bundles beside what others make of the same checkpoint.")
    parser.add_argument("command", choices=["latency", "quality"])
    parser.add_argument("out", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+", help="of the checkpoint; the first as it was exported")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder in diffusers layout")
    parser.add_argument("--peers", type=Path, required=True, help="folder of the peers' graphs")
    parser.add_argument("--optimum-python", type=Path, help="of an environment with optimum-onnx: make missing graphs")
    parser.add_argument("--without", help="labels of peers to leave out, with commas between")
    parser.add_argument("--steps", type=int, nargs="+")
    parser.add_argument("--guidance", type=float, nargs="+")
    parser.add_argument("--threads", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--judge", type=Path, help="of quality")
    parser.add_argument("--lpips", type=Path, help="of quality")
    parser.add_argument("--prompts", type=Path, help="of quality")
    parser.add_argument("--count", type=int, help="of the prompts, for quality")
    request = Request(**vars(parser.parse_args()))
    try:
        (_latency if request.command == "latency" else _quality)(request)
    except (AmusedEdgeError, ImportError, OSError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"peers: interrupted; what was measured is kept in {request.out}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(_main())
