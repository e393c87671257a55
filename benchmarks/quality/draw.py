"""Draws every prompt with every subject, and compares their logits on the reference's path.

What a subject answers about a state is kept for its own picture: until it goes another way, both are one.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amused_edge.benchmarks.cluster.crew import Alone, Crew, Site, Tell
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.elsewhere import made_at, needed
from amused_edge.benchmarks.subjects.free_running import run_steps
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec, make_subject
from amused_edge.benchmarks.subjects.teacher_forcing import LogitMeter, LogitSource, follow
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.errors import GenerationError, OptionsError, quoted
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pictures.sources import read_image
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.stages import OnStage
from amused_edge.runtime.system.library_paths import file_name
from amused_edge.runtime.system.whole_file import whole_file

PICTURES = "pictures"


@dataclass(frozen=True)
class Drawn:
    """What is known of one prompt's picture by one subject, beside the reference's.

    Attributes
    ----------
    logits
        Fields of `LogitFidelity`, of this picture alone, teacher-forced; None for the reference itself.
    equal_tokens
        Share of the finished picture's tokens.
    first_diverging_step
        From 1; None where the finished tokens and all before are equal.
    """

    logits: dict[str, float] | None
    equal_tokens: float
    first_diverging_step: int | None


def check_alike(specs: Sequence[SubjectSpec]) -> Geometry:
    """Return the sizes that all subjects have; raises `OptionsError` where they differ."""
    geometries = {spec.label: make_subject(spec.target, spec.arguments).geometry for spec in specs}
    (first, wanted), *others = geometries.items()
    for label, found in others:
        if found != wanted:
            raise OptionsError(
                f"{label} has {_sizes(found)}, {first} has {_sizes(wanted)}; they cannot be compared token by token"
            )
    return wanted


def _sizes(g: Geometry) -> str:
    return (
        f"{g.image_width} x {g.image_height} pixels from {g.grid_width} x {g.grid_height} tokens of "
        f"{g.codebook_size} codes"
    )


@dataclass(frozen=True)
class PromptPiece:
    """A prompt that is drawn by all subjects, with the random numbers of its number."""

    index: int
    prompt: str
    count: int

    @property
    def name(self) -> str:
        """For whoever watches."""
        return f"prompt {self.index + 1} of {self.count}"


Outcome = tuple[dict[str, Drawn], dict[str, bytes]]
"""What is known of each subject's picture, and the pictures as PNG, by label."""


@dataclass(frozen=True)
class DrawJob:
    """Draws prompts with all subjects, which are in memory at once; the first is the reference."""

    specs: tuple[SubjectSpec, ...]
    settings: SamplerSettings
    seed: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The bundles' folders."""
        return needed(self.specs)

    @property
    def memory(self) -> int:
        """Size of what subjects read."""
        return sum(spec.bytes for spec in self.specs)

    @contextmanager
    def open(self, site: Site) -> Iterator[Callable[[PromptPiece], Outcome]]:
        """Load the subjects."""
        subjects = {spec.label: made_at(spec, site) for spec in self.specs}
        try:
            for subject in subjects.values():
                subject.load()
            yield lambda piece: self._draw(subjects, piece)
        finally:
            for subject in subjects.values():
                subject.close()

    def _draw(self, subjects: Mapping[str, Subject], piece: PromptPiece) -> Outcome:
        drawn, images = _draw(subjects, piece.prompt, piece.index, self.settings, self.seed)
        return drawn, {label: png(image) for label, image in images.items()}


def draw_subjects(
    specs: Sequence[SubjectSpec],
    prompts: Sequence[str],
    settings: SamplerSettings,
    seed: int,
    run: RunFolder,
    on_picture: OnStage | None = None,
    crew: Crew | None = None,
) -> None:
    """Draw all prompts that the folder has no record of; pictures lie in `pictures/LABEL/NUMBER.png`.

    Parameters
    ----------
    specs
        The first is the reference; all are alike, see `check_alike`.
    prompts
        One picture each, prompt k from the random numbers of picture k.
    crew
        Who draws; None: this process.
    """
    count = len(prompts)
    missing = [PromptPiece(index, prompts[index], count) for index in range(count) if draw_key(index) not in run]

    def keep(piece: PromptPiece, outcome: Outcome) -> None:
        drawn, images = outcome
        for label, image in images.items():
            save_picture(image, picture_path(run.path, label, piece.index))
        run.add(draw_key(piece.index), {"drawn": {label: asdict(each) for label, each in drawn.items()}})

    job = DrawJob(tuple(specs), settings, seed)
    (crew or Alone()).run(job, missing, len(missing), keep, counted(on_picture, count - len(missing), count))


def counted(on_stage: OnStage | None, before: int, total: int) -> Tell | None:
    """Return what tells how much of the whole is done, of which some was done before."""
    return None if on_stage is None else lambda text, done: on_stage(text, before + done, total)


def read_drawn(run: RunFolder, index: int) -> dict[str, Drawn]:
    """Return what is known of a prompt's pictures, by label."""
    return {label: Drawn(**fields) for label, fields in run[draw_key(index)]["drawn"].items()}


def picture_path(folder: Path, label: str, index: int) -> Path:
    """Return where a picture of a run lies."""
    return folder / PICTURES / file_name(label) / f"{index:04d}.png"


def read_picture(folder: Path, label: str, index: int) -> ImageArray:
    """Return a picture (H, W, 3) of a subject; raises `OptionsError` where it cannot be read."""
    try:
        return np.asarray(read_image(picture_path(folder, label, index)))
    except OptionsError as error:
        raise OptionsError(
            f"a picture of the run {folder} is missing or damaged: {error}; remove the folder"
        ) from error


def _draw(
    subjects: Mapping[str, Subject], prompt: str, index: int, settings: SamplerSettings, seed: int
) -> tuple[dict[str, Drawn], dict[str, ImageArray]]:
    sources = {label: _Remembering(subject.logits(prompt, settings)) for label, subject in subjects.items()}
    reference, *others = subjects
    meters = {label: LogitMeter() for label in others}
    path: list[IntArray] = []
    geometry = subjects[reference].geometry
    for state in follow(dict(sources), reference, geometry, settings, seed=seed, picture=index):
        path.append(state.tokens)
        for label, meter in meters.items():
            meter.add(state.logits[reference], state.logits[label], state)
    finished = state.predicted
    path = [*path[1:], finished]  # the grid after each step
    drawn = {reference: Drawn(None, 1.0, None)}
    images = {reference: subjects[reference].decode(finished[None])[0]}
    for label in others:
        try:
            steps = run_steps(sources[label], geometry, settings, seed=seed, picture=index)
        except GenerationError as error:
            raise GenerationError(f"{label}, {quoted(prompt)}: {error}") from error
        differ = [not np.array_equal(step.tokens[0], grid) for step, grid in zip(steps, path, strict=True)]
        first = differ.index(True) + 1 if any(differ) else None
        tokens = steps[-1].tokens
        drawn[label] = Drawn(_fields(meters[label]), float(np.mean(tokens[0] == finished)), first)
        images[label] = subjects[label].decode(tokens)[0]
    return drawn, images


def _fields(meter: LogitMeter) -> dict[str, Any]:
    fields = asdict(meter.result())
    return {name: value for name, value in fields.items() if name != "generations"}


class _Remembering:
    """A source of logits that is asked only once about a grid at a step."""

    def __init__(self, source: LogitSource) -> None:
        self._source = source
        self._answers: dict[tuple[int, bytes], FloatArray] = {}

    def __call__(self, step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
        key = step, tokens.tobytes()
        if key not in self._answers:
            self._answers[key] = self._source(step, tokens, rows)
        return self._answers[key]


def draw_key(index: int) -> str:
    """Return the key of a prompt's record in the run's folder."""
    return f"prompt {index}"


def png(image: ImageArray) -> bytes:
    """Return a picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


def save_picture(content: bytes, path: Path) -> None:
    """Write a picture of a run, whole or not at all, over one that an interrupted run may have left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, replace=True) as file:
        file.write(content)
