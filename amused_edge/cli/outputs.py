"""The files that `amused-edge generate` writes: their names, and what is checked before any work is done."""

import glob
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from amused_edge.runtime import Picture
    from amused_edge.runtime.pictures import ImageArray
    from amused_edge.runtime.tasks.kinds import Task

_MANY = 9999
"""A step as long in its file's name as there will be."""

_FRAME_SECONDS = 0.35
"""Of an animation, each step."""


@dataclass(frozen=True)
class OutputRequest:
    """The options of the command that say what is written, under their own names; None is what was not given.

    Attributes
    ----------
    output
        PNG file, which gives the other files their names.
    sheet, columns, scale
        One PNG with all pictures, in place of one each, and its form.
    heatmap, reveal, preview_dir, resume
        What is written beside each picture.
    """

    output: Path | None
    sheet: Path | None
    columns: int | None
    scale: int | None
    heatmap: bool
    reveal: bool
    preview_dir: Path | None
    resume: Path | None

    def check_usage(self) -> None:
        """Raise `click.UsageError` where options do not go together."""
        if self.sheet is None:
            if self.columns is not None or self.scale is not None:
                raise click.UsageError("--columns and --scale are for a --sheet")
            return
        if self.output is not None:
            raise click.UsageError("give --output or --sheet, not both")
        if self.resume is not None or self.preview_dir is not None or self.heatmap or self.reveal:
            raise click.UsageError(
                "--resume, --preview-dir, --heatmap and --reveal are for pictures in files of their own"
            )

    def files(self, task: "Task", seed: int, *, kept: bool = False) -> "OutputFiles":
        """Return where the pictures of a task go; raise if they or the sheet cannot be written or exist. Pictures that
        are `kept` may exist.
        """
        from amused_edge.runtime.pictures import check_png_path

        paths = picture_paths(task, seed, self.output)
        files = OutputFiles(paths, self.heatmap, self.reveal, self.preview_dir, self.resume, kept)
        if self.sheet is None:
            files.check()
        else:
            check_png_path(self.sheet)
        return files


@dataclass(frozen=True)
class OutputFiles:
    """Where each picture of a task goes, and what goes with it.

    Attributes
    ----------
    paths
        One per picture.
    heatmap, reveal
        Whether a heat map and an animation are written beside each.
    previews
        Folder for the picture after each step.
    state
        File that keeps the state of the picture being drawn.
    kept
        Whether pictures that exist are left as they are.
    """

    paths: tuple[Path, ...]
    heatmap: bool = False
    reveal: bool = False
    previews: Path | None = None
    state: Path | None = None
    kept: bool = False

    def check(self) -> None:
        """Raise if a file cannot be written or exists; with a state, pictures may exist.

        What a killed process left unfinished goes, and of a picture's companions all, if the picture is not there.
        """
        from amused_edge.runtime import OptionsError, OutputExistsError
        from amused_edge.runtime.bundle.places import check_folder
        from amused_edge.runtime.pictures import check_png_path
        from amused_edge.runtime.system.companions import remove_abandoned_companions
        from amused_edge.runtime.system.unfinished import remove_abandoned

        if self.state is not None and (self.previews is not None or self.heatmap or self.reveal):
            raise click.UsageError("--preview-dir, --heatmap and --reveal do not go with --resume")
        if self.previews is not None:
            check_folder(self.previews)
        if self.state is not None:
            check_state_path(self.state)
        for index, path in enumerate(self.paths):
            remove_abandoned(path)
            remove_abandoned_companions(self.companions(path), path)
            for each in (path, *self.companions(path)):
                try:
                    check_png_path(each)
                except OutputExistsError:
                    if self.state is None and not self.kept:
                        raise
            if self.previews is not None:
                if taken := sorted(self.previews.glob(f"{glob.escape(path.stem)}-step-*.png")):
                    raise OutputExistsError(f"{taken[0]} exists; choose another name or remove it")
                check_png_path(self.previews / f"{path.stem}-step-{_MANY}.png")
            if self.state is not None and self.state.resolve() == path.resolve():
                raise OptionsError(f"{self.state} is the name of picture {index}; give the state a name of its own")

    def preview(self, index: int, step: int) -> Path | None:
        """Return the file of a picture after a step, from 0; None if it is not wanted."""
        return None if self.previews is None else self.previews / f"{self.paths[index].stem}-step-{step + 1:02}.png"

    def write(self, index: int, picture: "Picture", frames: "list[ImageArray]") -> list[Path]:
        """Write a picture and what goes with it; `frames` are its steps. Return the files."""
        from amused_edge.runtime.pictures import write_png
        from amused_edge.runtime.pictures.files import encode_animation, encode_png
        from amused_edge.runtime.pictures.heat_map import heat_map
        from amused_edge.runtime.system.companions import companions

        path = self.paths[index]
        beside = self.companions(path)
        with companions() as files:
            if self.heatmap:
                files.add(beside[0], encode_png(heat_map(picture.image, picture.probability)))
            if self.reveal:
                files.add(beside[-1], encode_animation([*frames, picture.image], _FRAME_SECONDS))
            write_png(picture.image, path, picture.parameters.to_json())
        return [path, *beside]

    def companions(self, path: Path) -> list[Path]:
        """Return the files that go with a picture: heat map, animation."""
        chosen = (("heatmap", self.heatmap), ("reveal", self.reveal))
        return [_beside(path, name) for name, wanted in chosen if wanted]


def picture_paths(task: "Task", seed: int, output: Path | None) -> tuple[Path, ...]:
    """Return one file per picture of a task: `output`, or one that is named after the first prompt."""
    from amused_edge.runtime.pictures import check_png_name

    count = len(task.pictures())
    if output is not None:
        check_png_name(output)
    base = output or default_path(task, seed, ".png")
    return (base,) if count == 1 else tuple(_beside(base, str(index)) for index in range(count))


def default_path(task: "Task", seed: int, suffix: str) -> Path:
    """Return a file that is named after a task's first prompt."""
    return Path(f"{_slug(str(task.prompts[0]))}-{seed}{suffix}")


def check_state_path(path: Path) -> None:
    """Raise if a state can neither be read from a place nor written to it."""
    from amused_edge.runtime import OptionsError
    from amused_edge.runtime.bundle.places import check_folder, check_new_file

    if not os.path.exists(path):
        check_new_file(path)
    elif path.is_file():
        check_folder(path.parent)
    else:
        raise OptionsError(f"{path} is no file; give the state a name of its own")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.stem}-{suffix}{path.suffix}")


def _slug(prompt: str) -> str:
    """Return the prompt as a short file name, at most 60 bytes."""
    from amused_edge.runtime.system.library_paths import file_name

    letters = unicodedata.normalize("NFC", prompt.lower())
    kept = "".join(letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " " for letter in letters)
    words = "-".join(kept.split()).encode()[:60]
    return file_name(words.decode(errors="ignore") or "picture")
