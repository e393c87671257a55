"""How `amused-edge generate` draws: one picture after the other, each written as soon as it is finished; or a sheet."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from amused_edge.cli.outputs import OutputFiles, OutputRequest
from amused_edge.cli.progress import Report

if TYPE_CHECKING:
    from amused_edge.runtime import AmusedPipeline, GenerationOptions, Picture, PictureState, Step
    from amused_edge.runtime.pictures import ImageArray
    from amused_edge.runtime.tasks.kinds import Task


def draw(
    pipeline: "AmusedPipeline",
    task: "Task",
    options: "GenerationOptions",
    output: OutputRequest,
    files: OutputFiles,
    report: Report,
) -> list[Path]:
    """Draw a task and write what is asked for; return the files."""
    if output.sheet is None:
        return _draw_files(pipeline, task, options, files, report)
    from amused_edge.runtime.pictures import contact_sheet, write_png

    pictures = list(_draw_all(pipeline, task, options, report))
    images, captions = [picture.image for picture in pictures], [str(picture.prompt) for picture in pictures]
    write_png(contact_sheet(images, output.columns or 4, output.scale or 1, captions), output.sheet)
    return [output.sheet]


def _draw_files(
    pipeline: "AmusedPipeline", task: "Task", options: "GenerationOptions", files: OutputFiles, report: Report
) -> list[Path]:
    """Draw and write the pictures of a task that are not written yet; return the files."""
    places, written = task.pictures(), []
    for index, place in enumerate(places):
        one = task.single(*place)
        state = _begun(pipeline, one, options, files, index)
        if state is None:
            continue
        frames: list[ImageArray] = []
        for step in pipeline.resume(state, one):
            _tell(report, index, len(places), step)
            state = state.after(step)
            if files.state is not None:
                state.save(files.state)
            _watch(pipeline, files, index, step, frames)
        written += files.write(index, pipeline.finish(state, one), frames)
        if files.state is not None:
            files.state.unlink(missing_ok=True)
    return written


def _draw_all(
    pipeline: "AmusedPipeline", task: "Task", options: "GenerationOptions", report: Report
) -> Iterator["Picture"]:
    total = len(task.pictures())

    def on_step(index: int, step: "Step") -> None:
        _tell(report, index, total, step)

    return pipeline.pictures(task, options, on_step=on_step)


def _tell(report: Report, index: int, total: int, step: "Step") -> None:
    """Report a step of one of so many pictures."""
    report(f"picture {index + 1} of {total}", index * step.steps + step.index + 1, total * step.steps)


def _begun(
    pipeline: "AmusedPipeline", one: "Task", options: "GenerationOptions", files: OutputFiles, index: int
) -> "PictureState | None":
    """Return where a picture starts: at its beginning, or where it was interrupted; None if it is written."""
    from amused_edge.runtime import OutputExistsError, PictureState
    from amused_edge.runtime.pictures import read_parameters

    (state,) = pipeline.begin(one, options)
    if files.state is None:
        return state
    path = files.paths[index]
    if path.exists():
        if read_parameters(path) != state.parameters.to_json():
            raise OutputExistsError(f"{path} exists and is another picture; choose another name")
        if files.state.exists() and PictureState.load(files.state).parameters == state.parameters:
            files.state.unlink()  # the run ended between the two
        return None
    if not files.state.exists():
        return state
    saved = PictureState.load(files.state)
    if saved.parameters != state.parameters:
        raise OutputExistsError(f"{files.state} is the state of another picture; remove it or repeat its command")
    return saved


def _watch(
    pipeline: "AmusedPipeline", files: OutputFiles, index: int, step: "Step", frames: "list[ImageArray]"
) -> None:
    """Decode a step where its picture is asked for."""
    from amused_edge.runtime.pictures import write_png

    path = files.preview(index, step.index)
    if step.idle or (path is None and not files.reveal):
        return
    image = pipeline.preview(step)[0]
    if files.reveal:
        frames.append(image)
    if path is not None:
        write_png(image, path)
