"""How `amused-edge generate` draws on a cluster: each picture a piece, written here as it comes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amused_edge.benchmarks.cluster.crew import Crew, Site
from amused_edge.cli.outputs import OutputFiles, OutputRequest
from amused_edge.cli.progress import Report
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.options import EngineOptions
from amused_edge.runtime.errors import OutputExistsError
from amused_edge.runtime.pictures import read_parameters
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions

if TYPE_CHECKING:
    from amused_edge.runtime.tasks.kinds import Task
    from amused_edge.runtime.tasks.result import Picture


@dataclass(frozen=True)
class TaskPiece:
    """One picture of a task."""

    index: int
    count: int
    task: "Task"

    @property
    def name(self) -> str:
        """For whoever watches."""
        return f"picture {self.index + 1} of {self.count}"


@dataclass(frozen=True)
class GenerateJob:
    """Draws pictures with a bundle in a folder."""

    bundle: str
    engine: EngineOptions
    options: GenerationOptions

    @property
    def needs(self) -> tuple[str, ...]:
        """The bundle."""
        return (self.bundle,)

    @property
    def memory(self) -> int:
        """Size of the bundle."""
        return Bundle.open(self.bundle).manifest.bytes

    @contextmanager
    def open(self, site: Site) -> "Iterator[Callable[[TaskPiece], Picture]]":
        """Open the bundle."""
        engine = replace(self.engine, threads=self.engine.threads or site.threads)
        with AmusedPipeline.from_bundle(site.path(self.bundle), engine) as pipeline:
            yield lambda piece: next(pipeline.pictures(piece.task, self.options))


def check_usage(output: OutputRequest) -> None:
    """Raise `click.UsageError` where something is wanted that only this process can give."""
    others = (output.sheet, output.resume, output.preview_dir)
    if output.heatmap or output.reveal or any(each is not None for each in others):
        raise click.UsageError(
            "--sheet, --heatmap, --reveal, --preview-dir and --resume do not go with --ray, which keeps pictures that "
            "are there"
        )


def draw_pieces(
    crew: Crew,
    bundle: Path,
    engine: EngineOptions,
    task: "Task",
    options: GenerationOptions,
    files: OutputFiles,
    report: Report,
) -> list[Path]:
    """Draw and write the pictures of a task that are not written yet; return the files."""
    places = task.pictures()
    pieces = [TaskPiece(index, len(places), task.single(*place)) for index, place in enumerate(places)]
    job = GenerateJob(str(bundle.resolve()), engine, options)
    with AmusedPipeline.from_bundle(bundle, engine) as pipeline:
        missing = [piece for piece in pieces if not _is_there(pipeline, piece, options, files)]
    written: dict[int, list[Path]] = {}

    def keep(piece: TaskPiece, picture: "Picture") -> None:
        written[piece.index] = files.write(piece.index, picture, [])

    def tell(text: str, done: int) -> None:
        report(text, len(pieces) - len(missing) + done, len(pieces))

    crew.run(job, missing, len(missing), keep, tell)
    return [path for _, paths in sorted(written.items()) for path in paths]


def _is_there(pipeline: AmusedPipeline, piece: TaskPiece, options: GenerationOptions, files: OutputFiles) -> bool:
    """Return whether a picture is written; raises `OutputExistsError` where another picture has its place."""
    path = files.paths[piece.index]
    if not path.exists():
        return False
    (state,) = pipeline.begin(piece.task, options)
    if read_parameters(path) != state.parameters.to_json():
        raise OutputExistsError(f"{path} exists and is another picture; choose another name")
    return True
