"""What pictures are compared with and measured by, as the user gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from amused_edge.benchmarks.prompts import BUILT_IN, read_prompts
from amused_edge.benchmarks.quality.clip_score import ClipScorer
from amused_edge.benchmarks.quality.embedder import Embedder
from amused_edge.benchmarks.quality.judge import Judge
from amused_edge.benchmarks.quality.lpips import Lpips
from amused_edge.benchmarks.quality.metrics import Instruments
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.image import ImageArray
from amused_edge.runtime.options import whole_number


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
    """

    tools: Instruments
    embedder: Embedder | None = None
    real: Path | None = None

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
) -> Sources:
    """Open what was given.

    Raises
    ------
    OptionsError
        A file or folder is not what it should be.
    """
    tools = Instruments(
        lpips=None if lpips is None else Lpips(lpips),
        judge=None if judge is None else Judge(judge),
        clip=None if clip is None else ClipScorer(clip),
    )
    return Sources(tools, None if embedder is None else Embedder(embedder), real)


def choose_prompts(file: Path | None, judge: Judge | None, count: int | None) -> tuple[str, ...]:
    """Return the prompts of a file, else the judge's, else the built-in ones; `count` of them, evenly from all.

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
    return tuple(prompts[len(prompts) * number // count] for number in range(count))


def read_folder(folder: Path) -> list[ImageArray]:
    """Return the pictures (PNG or JPEG) of a folder, (H, W, 3) uint8 each.

    Raises
    ------
    OptionsError
        There are less than two, or one cannot be read.
    """
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if len(files) < 2:
        raise OptionsError(f"{folder} holds {len(files)} pictures (.png, .jpg); a set has two or more")
    try:
        return [np.asarray(Image.open(file).convert("RGB")) for file in files]
    except OSError as error:
        raise OptionsError(f"cannot read the pictures of {folder}: {error}") from error
