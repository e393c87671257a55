"""The state of a clip between two steps: its finished frames' tokens, and the state of the frame being drawn."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.checks import present
from amused_edge.runtime.errors import StateError
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.tasks.clip import ClipFrame
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.runtime.tasks.result import Picture
from amused_edge.runtime.tasks.sealed import opened, packed, read_state, sealed, unpacked, write_state
from amused_edge.runtime.tasks.state import PictureState

_FORMAT = "amused-edge clip state"


@dataclass(frozen=True, eq=False)
class ClipState:
    """All that is needed to go on with a clip, but for a picture and embeddings that its task was given.

    Attributes
    ----------
    finished
        (F, h, w) int64: the tokens of the frames before the one that is being drawn, which is frame F.
    picture
        The state of that frame.
    """

    finished: IntArray
    picture: PictureState

    @property
    def place(self) -> ClipFrame:
        """The clip, and the frame that is being drawn."""
        return present(self.picture.parameters.clip, "the clip of a clip's state")

    @property
    def frame_is_finished(self) -> bool:
        """Whether the frame has no step to go."""
        return self.picture.next_step == self.picture.parameters.settings.steps

    @property
    def is_finished(self) -> bool:
        """Whether nothing of the clip is left to draw."""
        return self.frame_is_finished and self.place.frame + 1 == self.place.clip.frames

    def parameters_of(self, frame: int) -> PictureParameters:
        """Return what a frame of the clip, from 0, is drawn from."""
        parameters, place = self.picture.parameters, self.place
        settings = replace(parameters.settings, schedule="linear" if frame else place.first_schedule)
        return replace(parameters, settings=settings, clip=replace(place, frame=frame))

    def after(self, step: Step) -> "ClipState":
        """Return the state after a step of its frame."""
        return replace(self, picture=self.picture.after(step))

    def to_json(self) -> str:
        """Return the state as JSON, with a hash of itself."""
        content = {
            "finished": packed(self.finished.astype("<i4")),
            "picture": json.loads(self.picture.to_json()),
        }
        return sealed(_FORMAT, content)

    @staticmethod
    def from_json(text: str) -> "ClipState":
        """Read what `to_json` wrote.

        Raises
        ------
        StateError
            It is damaged, of a newer version, or anything else.
        """
        other = "this is no state of a clip, or of another version"
        values = opened(text, _FORMAT, other=other, again="begin the clip again")
        picture = PictureState.from_json(json.dumps(values.get("picture", dict)))
        if picture.parameters.clip is None:
            raise StateError("the state is that of a picture, not of a clip; begin the clip again")
        shape = (picture.parameters.clip.frame, *picture.tokens.shape)
        return ClipState(unpacked(values.get("finished", str), shape, "<i4").astype(np.int64), picture)

    def save(self, path: str | Path) -> None:
        """Write the state to a file, which is replaced whole or not at all."""
        write_state(self.to_json(), path)

    @staticmethod
    def load(path: str | Path) -> "ClipState":
        """Read a file that `save` wrote; raises `StateError` as `from_json` does, also where there is none."""
        return ClipState.from_json(read_state(path))


@dataclass(frozen=True, eq=False)
class Frame:
    """One finished frame of a clip.

    Attributes
    ----------
    index
        From 0.
    picture
        Its pixels, tokens and parameters.
    state
        From which the frames after it are drawn.
    """

    index: int
    picture: Picture
    state: ClipState
