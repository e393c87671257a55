"""Measures the pictures of a run, prompt by prompt: each alone, so that its figures are its own whoever measures.

What comes of it, numbers and features, lies in the run's folder and is reduced from there, in the order of prompts.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amused_edge.benchmarks.cluster.crew import Alone, Crew, Site
from amused_edge.benchmarks.metrics.sets import Features
from amused_edge.benchmarks.quality.draw import Drawn, counted, picture_path, read_drawn
from amused_edge.benchmarks.quality.features import FeatureFile
from amused_edge.benchmarks.quality.instruments.embedder import Embedder
from amused_edge.benchmarks.quality.metrics import (
    METRICS,
    Metric,
    Values,
    by_clip,
    by_judge,
    free_running,
    teacher_forced,
)
from amused_edge.benchmarks.quality.sources import Sources, embed_files, open_sources
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.stages import OnStage
from amused_edge.runtime.system.library_paths import file_name
from amused_edge.runtime.system.whole_file import whole_file

FEATURES = "features"
TRUTH, REAL = "truth", "real"
"""Names of sets that no subject drew; those of subjects begin with a "-"."""


@dataclass(frozen=True)
class PicturesPiece:
    """The pictures of a prompt by all subjects, and what is known of them; the reference comes first.

    Here they are files; as it is pickled, they are read, so that a few pieces on their way are all that memory holds.
    """

    index: int
    prompt: str
    count: int
    drawn: Mapping[str, Drawn]
    pictures: Mapping[str, bytes | Path]

    def __reduce__(self) -> tuple[Any, ...]:
        pictures = {label: self.png(label) for label in self.pictures}
        return PicturesPiece, (self.index, self.prompt, self.count, self.drawn, pictures)

    def png(self, label: str) -> bytes:
        """Return a subject's picture as a PNG file."""
        picture = self.pictures[label]
        if isinstance(picture, bytes):
            return picture
        try:
            return picture.read_bytes()
        except OSError as error:
            raise OptionsError(f"a picture of the run is missing or damaged: {picture}; remove the folder") from error

    @property
    def name(self) -> str:
        """For whoever watches."""
        return f"measuring prompt {self.index + 1} of {self.count}"


@dataclass(frozen=True)
class Measures:
    """What was measured of a prompt.

    Attributes
    ----------
    values
        Label -> name of a metric -> its value.
    features
        (instrument, set) -> (D,).
    """

    values: dict[str, dict[str, float]]
    features: dict[tuple[str, str], Features]


class MeasureJob:
    """Measures prompts' pictures with given instruments, which another machine opens for itself."""

    def __init__(self, sources: Sources, opened: bool = True) -> None:
        self._sources = sources
        self._opened = opened

    def __reduce__(self) -> tuple[Any, ...]:
        return MeasureJob, (self._sources.closed(), False)

    @property
    def needs(self) -> tuple[str, ...]:
        """Where the instruments lie."""
        return tuple(str(path) for name, path in self._sources.paths.items() if name != REAL)

    @property
    def memory(self) -> int:
        """Nothing to speak of."""
        return 0

    @contextmanager
    def open(self, site: Site) -> Iterator[Callable[[PicturesPiece], Measures]]:
        """Open the instruments, where they are not."""
        sources = self._sources
        if not self._opened:
            paths = {name: site.path(path) for name, path in sources.paths.items() if name != REAL}
            sources = open_sources(**paths, threads=site.threads)
        yield lambda piece: measure(piece, sources)


def measure(piece: PicturesPiece, sources: Sources) -> Measures:
    """Measure a prompt's pictures."""
    images = {label: _decoded(piece, label) for label in piece.pictures}
    reference = next(iter(images))
    prompts, tools = [piece.prompt], sources.tools
    values = {}
    for label, image in images.items():
        drawn = [piece.drawn[label]]
        own = {} if label == reference else free_running(drawn, [images[reference]], [image], tools)
        given = {**by_judge(prompts, [image], tools), **by_clip(prompts, [image], tools)}
        found = {**teacher_forced(drawn), **own, **given}
        values[label] = {metric.name: float(each[0]) for metric, each in found.items()}
    return Measures(values, _features(piece.prompt, images, sources))


def _decoded(piece: PicturesPiece, label: str) -> ImageArray:
    try:
        return np.asarray(Image.open(io.BytesIO(piece.png(label))).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise OptionsError(
            f"picture {piece.index} by {label} is missing or damaged: {error}; remove the folder of the run"
        ) from error


def _features(prompt: str, images: Mapping[str, ImageArray], sources: Sources) -> dict[tuple[str, str], Features]:
    judge, embedder = sources.tools.judge, sources.embedder
    found = {}
    for label, image in images.items():
        if judge is not None:
            found["judge", f"-{label}"] = judge.features([image])[0]
        if embedder is not None:
            found["embedder", f"-{label}"] = embedder([image])[0]
    if judge is not None:
        found["judge", TRUTH] = judge.features([judge.truth(prompt)])[0]
    return found


class MeasuredRun:
    """What was measured of the pictures in a run's folder.

    Parameters
    ----------
    run
        In which all prompts are drawn.
    labels
        The subjects', the reference's first.
    """

    def __init__(self, run: RunFolder, labels: Sequence[str], prompts: Sequence[str], sources: Sources) -> None:
        self._run, self._labels, self._prompts, self._sources = run, tuple(labels), prompts, sources
        named = json.dumps({name: hashed for name, hashed in sources.files.items() if name != REAL}, sort_keys=True)
        self._mark = hashlib.sha256(named.encode()).hexdigest()[:12]

    def measure(self, on_prompt: OnStage | None = None, crew: Crew | None = None) -> None:
        """Measure what the folder has no record of with these instruments."""
        count = len(self._prompts)
        missing = [index for index in range(count) if self._key(index) not in self._run]
        tell = counted(on_prompt, count - len(missing), count)
        pieces = (self._piece(index) for index in missing)
        (crew or Alone()).run(MeasureJob(self._sources), pieces, len(missing), self._keep, tell)

    def values(self) -> dict[str, dict[Metric, Values]]:
        """Return label -> metric -> the values of all prompts (n,)."""
        found: dict[str, dict[Metric, Values]] = {label: {} for label in self._labels}
        for index in range(len(self._prompts)):
            for label, values in self._run[self._key(index)]["values"].items():
                for name, value in values.items():
                    if METRICS[name] not in found[label]:
                        found[label][METRICS[name]] = np.empty(len(self._prompts))
                    found[label][METRICS[name]][index] = value
        return found

    def features(self, instrument: str, subject: str) -> FeatureFile:
        """Return the features of a subject's pictures."""
        return self._file(instrument, f"-{subject}")

    def diverging(self) -> dict[str, list[int]]:
        """Return label -> the first diverging step of those pictures that went another way."""
        found: dict[str, list[int]] = {label: [] for label in self._labels}
        for index in range(len(self._prompts)):
            for label, drawn in read_drawn(self._run, index).items():
                if drawn.first_diverging_step is not None:
                    found[label].append(drawn.first_diverging_step)
        return found

    def truths(self) -> FeatureFile:
        """Return the judge's features of the prompts' true pictures."""
        return self._file("judge", TRUTH)

    def real(self, files: Sequence[Path], embedder: Embedder) -> FeatureFile:
        """Return the features of real pictures, which are measured here where the folder has none of them."""
        path = self._folder("embedder") / f"{REAL}-{self._sources.files.get(REAL, '')[:12]}.f64"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path, replace=True) as out:
                for row in embed_files(files, embedder):
                    out.write(row.astype("<f8").tobytes())
        return FeatureFile(path, len(files))

    def _file(self, instrument: str, name: str) -> FeatureFile:
        return FeatureFile(self._folder(instrument) / f"{file_name(name)}.f64", len(self._prompts))

    def _folder(self, instrument: str) -> Path:
        return self._run.path / FEATURES / f"{instrument}-{self._sources.files.get(instrument, '')[:12]}"

    def _piece(self, index: int) -> PicturesPiece:
        pictures = {label: picture_path(self._run.path, label, index) for label in self._labels}
        drawn = read_drawn(self._run, index)
        return PicturesPiece(index, self._prompts[index], len(self._prompts), drawn, pictures)

    def _keep(self, piece: PicturesPiece, measures: Measures) -> None:
        for (instrument, name), row in measures.features.items():
            self._file(instrument, name).write(piece.index, row)
        self._run.add(self._key(piece.index), {"values": measures.values})

    def _key(self, index: int) -> str:
        return f"measured {index}, {self._mark}"
