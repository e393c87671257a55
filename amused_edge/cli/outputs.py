"""The files that `amused-edge generate` writes, and the loop that draws them one picture at a time."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amused_edge.cli.progress import Report

if TYPE_CHECKING:
    from amused_edge.runtime import AmusedPipeline, GenerationOptions, Picture, PictureState, Step
    from amused_edge.runtime.pictures import ImageArray
    from amused_edge.runtime.tasks import Task

_FRAME_SECONDS = 0.35
"""Of an animation, each step."""


@dataclass
class Outputs:
    """Where each picture of a task goes, and what goes with it.

    Attributes
    ----------
    paths
        One per picture; none where all go on a sheet.
    previews
        Folder for the picture after each step.
    state
        File that keeps the state of the picture being drawn.
    """

    paths: list[Path]
    sheet: Path | None
    previews: Path | None
    heatmap: bool
    reveal: bool
    state: Path | None
    _sheet_pictures: "list[Picture]" = field(default_factory=list)

    @staticmethod
    def of(
        task: "Task",
        seed: int,
        output: Path | None,
        sheet: Path | None,
        previews: Path | None,
        heatmap: bool,
        reveal: bool,
        state: Path | None,
    ) -> "Outputs":
        """Name the files of all pictures of a task."""
        if sheet is not None and (previews or heatmap or reveal):
            raise click.UsageError("--preview-dir, --heatmap and --reveal are for pictures in files of their own")
        names = [str(task.prompts[prompt]) for prompt, _ in task.pictures()]
        base = output or Path(f"{_slug(names[0])}-{seed}.png")
        paths = [base] if len(names) == 1 else [_beside(base, str(index)) for index in range(len(names))]
        return Outputs([] if sheet is not None else paths, sheet, previews, heatmap, reveal, state)

    def check(self) -> None:
        """Raise, before any work is done, if a file cannot be written or exists."""
        from amused_edge.runtime import OptionsError, OutputExistsError
        from amused_edge.runtime.pictures import check_png_path

        if self.sheet is not None:
            check_png_path(self.sheet)
        if self.previews is not None and not self.previews.is_dir():
            raise OptionsError(f"folder {self.previews} does not exist; create it first")
        for path in self.paths:
            for each in (path, *self._companions(path)):
                try:
                    check_png_path(each)
                except OutputExistsError:
                    if self.state is None:
                        raise

    def draw(
        self, pipeline: "AmusedPipeline", task: "Task", options: "GenerationOptions", report: Report
    ) -> list[Path]:
        """Draw and write each picture, and return the files; pictures of an interrupted run are not drawn again."""
        places, written = task.pictures(), []
        for index, place in enumerate(places):
            one = task.single(*place)
            state = self._begun(pipeline, one, options, index)
            if state is None:
                continue
            frames: list[ImageArray] = []
            for step in pipeline.resume(state, one):
                report(
                    f"picture {index + 1} of {len(places)}",
                    index * step.steps + step.index + 1,
                    len(places) * step.steps,
                )
                state = state.after(step)
                if self.state is not None:
                    state.save(self.state)
                self._watch(pipeline, index, step, frames)
            picture = pipeline.finish(state, one)
            if self.sheet is not None:
                self._sheet_pictures.append(picture)
            else:
                written += self._write(index, picture, frames)
            if self.state is not None:
                self.state.unlink(missing_ok=True)
        return written

    def write_sheet(self, path: Path, columns: int, scale: int) -> None:
        """Write all pictures on one, with their prompts."""
        from amused_edge.runtime.pictures import contact_sheet, write_png

        pictures = self._sheet_pictures
        sheet = contact_sheet([p.image for p in pictures], columns, scale, [str(p.prompt) for p in pictures])
        write_png(sheet, path)

    def _begun(
        self, pipeline: "AmusedPipeline", one: "Task", options: "GenerationOptions", index: int
    ) -> "PictureState | None":
        """Return where a picture starts: at its beginning, or where it was interrupted; None if it is written."""
        from amused_edge.runtime import OutputExistsError, PictureState
        from amused_edge.runtime.pictures import read_parameters

        (state,) = pipeline.begin(one, options)
        if self.state is None:
            return state
        if self.paths[index].exists():
            if read_parameters(self.paths[index]) != state.parameters.to_json():
                raise OutputExistsError(f"{self.paths[index]} exists and is another picture; choose another name")
            return None
        if self.state.exists():
            saved = PictureState.load(self.state)
            if saved.parameters == state.parameters:
                return saved
            raise OutputExistsError(f"{self.state} is the state of another picture; remove it or repeat its command")
        return state

    def _watch(self, pipeline: "AmusedPipeline", index: int, step: "Step", frames: "list[ImageArray]") -> None:
        """Decode a step where its picture is asked for."""
        from amused_edge.runtime.pictures import write_png

        if self.previews is None and not self.reveal:
            return
        image = pipeline.preview(step)[0]
        frames.append(image)
        if self.previews is not None:
            path = self.previews / f"{self.paths[index].stem}-step-{step.index + 1:02}.png"
            if not (self.state is not None and path.exists()):
                write_png(image, path)

    def _write(self, index: int, picture: "Picture", frames: "list[ImageArray]") -> list[Path]:
        from amused_edge.runtime.pictures import write_animation, write_png
        from amused_edge.runtime.pictures.heat_map import heat_map

        path = self.paths[index]
        companions = self._companions(path)
        if self.heatmap:
            write_png(heat_map(picture.image, picture.probability), companions[0])
        if self.reveal:
            write_animation([*frames, picture.image], companions[-1], _FRAME_SECONDS)
        write_png(picture.image, path, picture.parameters.to_json())
        return [path, *companions]

    def _companions(self, path: Path) -> list[Path]:
        """Return the files that go with a picture: heat map, animation."""
        chosen = (("heatmap", self.heatmap), ("reveal", self.reveal))
        return [_beside(path, name) for name, wanted in chosen if wanted]


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.stem}-{suffix}{path.suffix}")


def _slug(prompt: str) -> str:
    """Return the prompt as a short file name, at most 60 bytes."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-").encode()[:60]
    return words.decode(errors="ignore") or "picture"
