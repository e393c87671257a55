"""The clip that the options of `amused-edge video` ask for."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from amused_edge.runtime import Clip

_PLAIN = ("frames", "refresh", "loop")
_MOTIONS = {"motion": "--motion", "motion_field": "--motion-field", "pan": "--pan"}


def clip_of(given: dict[str, Any]) -> "Clip":
    """Return the clip: that of `--like` or the default one, with what else was given."""
    from amused_edge.runtime import Clip

    asked = [flag for name, flag in _MOTIONS.items() if given[name] is not None]
    if len(asked) > 1:
        raise click.UsageError(f"give {' or '.join(asked)}, not both")
    like = None if given["like"] is None else _like(given["like"])
    values = {**_motion(given, like), **{name: given[name] for name in _PLAIN if given[name] is not None}}
    return Clip(**values) if like is None else replace(like, **values)


def _motion(given: dict[str, Any], like: "Clip | None") -> dict[str, Any]:
    """Return what presets and a file ask for; a file says how many frames there are, where nothing else does."""
    from amused_edge.runtime import Clip
    from amused_edge.runtime.tasks.clip import pan, zoom
    from amused_edge.runtime.tasks.motion_file import read_motions

    zoomed = {} if given["zoom"] is None else zoom(given["zoom"])
    if given["motion_field"] is not None:
        motions = read_motions(given["motion_field"])
        return {**zoomed, "motion": motions, "frames": len(motions) + (not given["loop"])}
    if given["pan"] is not None:
        frames, loop = (given[name] or getattr(like or Clip(), name) for name in ("frames", "loop"))
        return {**zoomed, **pan(given["pan"], frames, loop=loop)}
    return {**zoomed, **({} if given["motion"] is None else {"motion": given["motion"]})}


def _like(path: Path) -> "Clip | None":
    """Return the clip that a picture is a frame of; None if it is of none."""
    from amused_edge.runtime import PictureParameters
    from amused_edge.runtime.pictures import read_parameters

    frame = PictureParameters.from_json(read_parameters(path)).clip
    return None if frame is None else frame.clip
