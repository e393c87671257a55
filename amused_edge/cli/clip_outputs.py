"""The files that `amused-edge video` writes, and how it draws them."""

import filecmp
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amused_edge.cli.outputs import check_state_path
from amused_edge.cli.progress import Report

if TYPE_CHECKING:
    from amused_edge.runtime import AmusedPipeline, Clip, ClipState, GenerationOptions, PictureParameters, Step
    from amused_edge.runtime.pictures import ImageArray
    from amused_edge.runtime.tasks.kinds import Task


@dataclass(frozen=True)
class ClipFiles:
    """Where a clip goes, and what goes with it.

    Attributes
    ----------
    path
        The clip.
    frames
        How many it has.
    fps
        Shown per second.
    folder
        For each frame as a picture of its own.
    state
        File that keeps the state of the clip being drawn.
    """

    path: Path
    frames: int
    fps: float
    folder: Path | None
    state: Path | None

    def check(self) -> None:
        """Raise if a file cannot be written or exists; with a state, frames may exist, and with one of a run that ended
        before it could remove it, the clip.
        """
        from amused_edge.runtime import OptionsError, OutputExistsError
        from amused_edge.runtime.bundle.places import check_folder
        from amused_edge.runtime.pictures import check_png_path
        from amused_edge.runtime.pictures.clips import check_clip_path, check_fps
        from amused_edge.runtime.system.unfinished import remove_abandoned

        check_fps(self.fps)
        remove_abandoned(self.path)
        try:
            check_clip_path(self.path)
        except OutputExistsError:
            if self.state is None or not self.state.exists():
                raise
        if self.state is not None:
            check_state_path(self.state)
            if self.state.resolve() == self.path.resolve():
                raise OptionsError(f"{self.state} is the name of the clip; give the state a name of its own")
        if self.folder is not None:
            check_folder(self.folder)
            for frame in range(self.frames):
                remove_abandoned(self._picture(self.folder, frame))
                try:
                    check_png_path(self._picture(self.folder, frame))
                except OutputExistsError:
                    if self.state is None:
                        raise

    def draw(
        self, pipeline: "AmusedPipeline", task: "Task", clip: "Clip", options: "GenerationOptions", report: Report
    ) -> None:
        """Draw a clip, or go on with it, and write it."""
        from amused_edge.runtime import OutputExistsError
        from amused_edge.runtime.pictures.clips import write_clip

        state = self._begun(pipeline.begin_video(task, clip, options))
        images = self._images(pipeline, task, state, report)
        parameters = state.parameters_of(0).to_json()
        if not self.path.exists():
            write_clip(images, self.path, self.fps, parameters)
        elif not (state.is_finished and self._is_written(images, parameters)):
            raise OutputExistsError(f"{self.path} exists and is another clip; choose another name or remove it")
        if self.state is not None:
            self.state.unlink(missing_ok=True)

    def _is_written(self, images: "Iterator[ImageArray]", parameters: str) -> bool:
        """Return whether the clip that is there is this one, to the last byte."""
        from amused_edge.runtime.pictures.clips import write_clip

        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder) / self.path.name
            write_clip(images, again, self.fps, parameters)
            return filecmp.cmp(again, self.path, shallow=False)

    def _begun(self, state: "ClipState") -> "ClipState":
        """Return where the clip starts: at its beginning, or where it was interrupted."""
        from amused_edge.runtime import ClipState, OutputExistsError

        if self.state is None or not self.state.exists():
            return state
        saved = ClipState.load(self.state)
        if saved.parameters_of(0) != state.picture.parameters:
            raise OutputExistsError(f"{self.state} is the state of another clip; remove it or repeat its command")
        return saved

    def _images(
        self, pipeline: "AmusedPipeline", task: "Task", state: "ClipState", report: Report
    ) -> "Iterator[ImageArray]":
        """Yield the pictures of all frames; those that are finished in the state are decoded again."""
        for frame, tokens in enumerate(state.finished):
            image = pipeline.decode(tokens[None])[0]
            self._keep(image, frame, state.parameters_of(frame))
            yield image

        def stepped(after: "ClipState", step: "Step") -> None:
            frame = after.place.frame
            report(f"frame {frame + 1} of {self.frames}", frame * step.steps + step.index + 1, self.frames * step.steps)
            if self.state is not None:
                after.save(self.state)

        for drawn in pipeline.resume_video(state, task, on_step=stepped):
            self._keep(drawn.picture.image, drawn.index, drawn.picture.parameters)
            yield drawn.picture.image

    def _keep(self, image: "ImageArray", frame: int, parameters: "PictureParameters") -> None:
        """Write a frame as a picture, where that is asked for and was not done before."""
        from amused_edge.runtime import OutputExistsError
        from amused_edge.runtime.pictures import read_parameters, write_png

        if self.folder is None:
            return
        path = self._picture(self.folder, frame)
        if not path.exists():
            write_png(image, path, parameters.to_json())
        elif read_parameters(path) != parameters.to_json():
            raise OutputExistsError(f"{path} exists and is another picture; choose another folder")

    def _picture(self, folder: Path, frame: int) -> Path:
        return folder / f"{self.path.stem}-{frame:0{len(str(self.frames - 1))}}.png"
