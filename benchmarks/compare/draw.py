"""Draws all prompts with every bundle and setting, one bundle in memory at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from amused_edge.benchmarks.cluster.crew import Alone, Crew, Site
from amused_edge.benchmarks.quality.draw import counted, picture_path, png, read_picture, save_picture
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.elsewhere import made_at, needed
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.stages import OnStage

Pictures = Callable[[str, SamplerSettings, int], ImageArray]
"""(label, setting, number of a prompt) -> its picture (H, W, 3)."""


@dataclass(frozen=True)
class SettingPiece:
    """A prompt that a bundle draws with a setting, from the random numbers of its number."""

    label: str
    settings: SamplerSettings
    index: int
    prompt: str

    @property
    def name(self) -> str:
        """Of the bundle and setting."""
        return _name(self.label, self.settings)

    @property
    def key(self) -> str:
        """Of its record."""
        return f"{self.name}, prompt {self.index}"


@dataclass(frozen=True)
class GridJob:
    """Draws with one bundle, in whatever setting."""

    spec: SubjectSpec
    seed: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The bundle's folder."""
        return needed([self.spec])

    @property
    def memory(self) -> int:
        """Size of what the bundle reads."""
        return self.spec.bytes

    @contextmanager
    def open(self, site: Site) -> Iterator[Callable[[SettingPiece], bytes]]:
        """Load the bundle; pieces become PNG files."""
        subject = made_at(self.spec, site)
        try:
            subject.load()
            yield lambda piece: _draw(subject, piece, self.seed)
        finally:
            subject.close()


def draw_grid(
    specs: Sequence[SubjectSpec],
    prompts: Sequence[str],
    grid: Sequence[SamplerSettings],
    seed: int,
    run: RunFolder,
    on_picture: OnStage | None = None,
    crew: Crew | None = None,
) -> Pictures:
    """Draw what the folder has no record of, and return a reader of the pictures.

    Prompt k is drawn from the random numbers of picture k, by all bundles and with all settings; by the `crew`, or this
    process.
    """

    def keep(piece: SettingPiece, image: bytes) -> None:
        save_picture(image, picture_path(run.path, piece.name, piece.index))
        run.add(piece.key, {})

    total = len(specs) * len(grid) * len(prompts)
    missing = {}
    for spec in specs:
        plan = (SettingPiece(spec.label, one, index, text) for one in grid for index, text in enumerate(prompts))
        missing[spec.label] = [piece for piece in plan if piece.key not in run]
    done = total - sum(map(len, missing.values()))
    for spec in specs:
        own = missing[spec.label]
        (crew or Alone()).run(GridJob(spec, seed), own, len(own), keep, counted(on_picture, done, total))
        done += len(own)
    return lambda label, settings, index: read_picture(run.path, _name(label, settings), index)


def _draw(subject: Subject, piece: SettingPiece, seed: int) -> bytes:
    source = subject.logits(piece.prompt, piece.settings)
    tokens = draw_tokens(source, subject.geometry, piece.settings, seed=seed, picture=piece.index)
    return png(subject.decode(tokens)[0])


def _name(label: str, settings: SamplerSettings) -> str:
    return f"{label}, {settings.steps} steps, guidance {settings.guidance_scale:g}"
