"""The pictures of a search, drawn when they are asked for, and what each took."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from amused_edge.benchmarks.quality.draw import picture_path, png, read_picture, save_picture
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.kept_rows import KeptRows
from amused_edge.benchmarks.subjects.subject import Subject
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.stages import OnStage


@dataclass(frozen=True)
class Work:
    """Calls of the denoiser for one picture, and rows in all of them; one of which its layers computed half, as with a
    row cache, counts half.
    """

    calls: int
    rows: float


class SearchDrawing:
    """Pictures by setting and place of the prompt; those that the run's folder has no record of are drawn.

    Prompt k is drawn from the random numbers of picture k, with all settings.
    """

    def __init__(
        self, subject: Subject, prompts: Sequence[str], seed: int, run: RunFolder, on_picture: OnStage | None
    ) -> None:
        self._subject = subject
        self._prompts = prompts
        self._seed = seed
        self._run = run
        self._on_picture = on_picture

    def pictures(self, settings: SamplerSettings, places: Sequence[int]) -> list[ImageArray]:
        """Return the pictures (H, W, 3) of the prompts of these places."""
        name = name_of(settings)
        missing = [place for place in places if _key(name, place) not in self._run]
        for done, place in enumerate(missing):
            if self._on_picture is not None:
                self._on_picture(name, done, len(missing))
            self._draw(settings, name, place)
        return [read_picture(self._run.path, name, place) for place in places]

    def work(self, settings: SamplerSettings, place: int) -> Work:
        """Return what a picture took that was drawn."""
        record = self._run[_key(name_of(settings), place)]
        return Work(record["calls"], record["rows"])

    def _draw(self, settings: SamplerSettings, name: str, place: int) -> None:
        source = self._subject.logits(self._prompts[place], settings)
        shares: list[float] = []

        def counted(step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
            logits = source(step, tokens, rows)
            shares.append(source.share if isinstance(source, KeptRows) else 1.0)
            return logits

        tokens = draw_tokens(counted, self._subject.geometry, settings, seed=self._seed, picture=place)
        save_picture(png(self._subject.decode(tokens)[0]), picture_path(self._run.path, name, place))
        self._run.add(_key(name, place), asdict(Work(len(shares), sum(shares) * settings.branches)))


def name_of(settings: SamplerSettings) -> str:
    """Return what a search calls a setting; no two of a grid have the same name."""
    heat = settings.temperature
    return ", ".join(
        [
            f"{settings.steps} steps",
            f"guidance {settings.guidance_scale:g}",
            "temperature " + (" to ".join(f"{each:g}" for each in heat) if isinstance(heat, tuple) else f"{heat:g}"),
            settings.order,
            *([f"{settings.entropy_bound:g} nats"] if settings.entropy_bound else []),
            *([f"all rows every {settings.row_cache} steps"] if settings.row_cache else []),
        ]
    )


def _key(name: str, place: int) -> str:
    return f"{name}, prompt {place}"
