"""What pictures are compared with and measured by, as the user gives it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from amused_edge.benchmarks.metrics.sets import Features
from amused_edge.benchmarks.quality.instruments.clip_score import ClipScorer
from amused_edge.benchmarks.quality.instruments.embedder import Embedder
from amused_edge.benchmarks.quality.instruments.judge import Judge
from amused_edge.benchmarks.quality.instruments.lpips import SMALLEST_SIDE, Lpips
from amused_edge.benchmarks.quality.metrics import Instruments
from amused_edge.benchmarks.subjects.prompts import BUILT_IN
from amused_edge.runtime.bundle.verification import sha256
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.opening import check_picture
from amused_edge.runtime.pictures.sources import read_image
from amused_edge.runtime.tasks.prompt_file import read_prompts


@dataclass(frozen=True)
class Sources:
    """What pictures are compared with, beside the reference's.

    Attributes
    ----------
    tools
        LPIPS, judge and CLIP.
    embedder
        Gives the features for KID and FID against the reference's pictures.
    real
        Folder of real pictures, for KID and FID against them; needs the embedder.
    files
        What was given -> SHA-256 of the file or, of a folder, of its files; for the results.
    paths
        What was given -> its absolute path.
    """

    tools: Instruments
    embedder: Embedder | None = None
    real: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)

    def closed(self) -> "Sources":
        """Return what another process may open by its paths."""
        return Sources(Instruments(), files=self.files, paths=self.paths)

    def __post_init__(self) -> None:
        if self.real is not None and self.embedder is None:
            raise OptionsError("real pictures are compared by their features; give an embedder, too")


def open_sources(
    *,
    judge: Path | None = None,
    lpips: Path | None = None,
    embedder: Path | None = None,
    real: Path | None = None,
    clip: Path | None = None,
    threads: int | None = None,
) -> Sources:
    """Open what was given; `threads` are those of their engine.

    Raises
    ------
    OptionsError
        A file or folder is not what it should be.
    """
    tools = Instruments(
        lpips=None if lpips is None else Lpips(lpips, threads),
        judge=None if judge is None else Judge(judge, threads),
        clip=None if clip is None else ClipScorer(clip, threads),
    )
    every = {"judge": judge, "lpips": lpips, "embedder": embedder, "real": real, "clip": clip}
    given = {name: path for name, path in every.items() if path is not None}
    files = {name: _hash(path) for name, path in given.items()}
    paths = {name: str(path.resolve()) for name, path in given.items()}
    return Sources(tools, None if embedder is None else Embedder(embedder, threads), real, files, paths)


def _hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the hashes of a folder's files by name."""
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.glob("*") if file.is_file()):
        digest.update(f"{file.name} {sha256(file)}\n".encode())
    return digest.hexdigest()


def try_out(sources: Sources, height: int, width: int) -> None:
    """Measure one grey picture with everything that needs no prompt, before hours are spent on drawing.

    Raises
    ------
    OptionsError
        Something cannot measure pictures of this size.
    """
    grey = [np.full((height, width, 3), 128, np.uint8)]
    if sources.embedder is not None:
        sources.embedder(grey)
    if sources.tools.lpips is not None and min(height, width) >= SMALLEST_SIDE:
        sources.tools.lpips(grey, grey)
    if sources.tools.clip is not None:
        sources.tools.clip(["grey"], grey)


def choose_prompts(file: Path | None, judge: Judge | None, count: int | None) -> tuple[str, ...]:
    """Return the prompts of a file, else the judge's, else the built-in ones; `count` of them, drawn without order.

    The draw is always the same, and one of more prompts holds that of fewer. Every n-th prompt would not do: lists have
    periods of their own, and a stride may meet the same subject again and again.

    Raises
    ------
    OptionsError
        The file holds none, or fewer than `count`.
    """
    if file is not None:
        prompts: Sequence[str] = read_prompts(file)
    else:
        prompts = BUILT_IN if judge is None else judge.prompts
    if count is None:
        return tuple(prompts)
    whole_number("count", count, minimum=1)
    if count > len(prompts):
        raise OptionsError(f"{count} prompts were asked for; there are {len(prompts)}")
    drawn = np.random.Generator(np.random.Philox(0)).permutation(len(prompts))[:count]
    return tuple(prompts[place] for place in sorted(drawn))


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures (PNG or JPEG) of a folder; raises `OptionsError` for less than two, or what is none."""
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if len(files) < 2:
        raise OptionsError(f"{folder} holds {len(files)} pictures (.png, .jpg); a set has two or more")
    for file in files:
        check_picture(file)
    return files


def embed_files(files: Sequence[Path], embedder: Embedder) -> Iterator[Features]:
    """Yield the features (D,) of pictures, read one by one; raises `OptionsError` where one cannot be read."""
    for file in files:
        yield embedder([np.asarray(read_image(file))])[0]
