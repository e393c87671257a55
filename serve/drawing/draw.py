"""Draws one request, in a thread of its own, and tells of each step and picture; it knows no HTTP."""

from typing import Any

import numpy as np

from amused_edge.runtime import AmusedPipeline, Cancellation, Picture, Step
from amused_edge.runtime.pictures.heat_map import heat_map
from amused_edge.serve.drawing.jobs import Event, Tell
from amused_edge.serve.drawing.pictures import to_base64
from amused_edge.serve.drawing.requests import DrawRequest


def draw(pipeline: AmusedPipeline, request: DrawRequest, tell: Tell, cancellation: Cancellation) -> None:
    """Draw all pictures of a request; raises as `AmusedPipeline.generate`."""
    total = len(request.task.pictures())

    def on_step(index: int, step: Step) -> None:
        content: dict[str, Any] = {"picture": index, "pictures": total, "step": step.index + 1, "steps": step.steps}
        if has_preview(step.index + 1, step.steps, request.previews) and not step.idle:
            content["preview"] = to_base64(pipeline.preview(step)[0])
        cancellation.check()
        tell(Event("step", content))

    drawn = pipeline.pictures(request.task, request.options, on_step=on_step, cancellation=cancellation)
    for index, picture in enumerate(drawn):
        tell(Event("picture", _content(index, total, picture, request.heatmap)))


def has_preview(step: int, steps: int, count: int) -> bool:
    """Return whether a step, from 1, has one of `count` previews: of 12 steps, 3 come with the third, sixth and ninth.

    The last has none: the picture follows.
    """
    return step < steps and step * (count + 1) // steps > (step - 1) * (count + 1) // steps


def _content(index: int, total: int, picture: Picture, with_heatmap: bool) -> dict[str, Any]:
    parameters = picture.parameters
    content = {
        "picture": index,
        "pictures": total,
        "png": to_base64(picture.image, parameters.to_json()),
        "parameters": parameters.to_dict(),
        "tokens": picture.tokens.tolist(),
    }
    if with_heatmap:
        content["heatmap"] = to_base64(heat_map(picture.image, np.asarray(picture.probability)))
    return content
