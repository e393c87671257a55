"""The state of one picture between two steps: a few KB of JSON that go on to the same picture in another process."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.checks import present
from amused_edge.runtime.errors import StateError
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.runtime.tasks.sealed import opened, packed, read_state, sealed, unpacked, write_state

_FORMAT = "amused-edge state"
_LARGEST_SIDE = 4096


@dataclass(frozen=True, eq=False)
class PictureState:
    """All that is needed to go on with a picture, but for pictures and embeddings that the task was given.

    Attributes
    ----------
    parameters
        What the picture is drawn from.
    next_step
        The step that comes next, from 0; the number of steps when the picture is finished.
    tokens, probability
        (h, w) int64 and float32, as in `Step`.
    starting_mask_ratio
        Share of the grid that the schedule starts from.
    known_since
        With a row cache, (h, w) int64: the step at which the denoiser first read each token, -1 where it is masked; so
        that what the cache held can be computed again. None without.
    """

    parameters: PictureParameters
    next_step: int
    tokens: IntArray
    probability: FloatArray
    starting_mask_ratio: float = 1.0
    known_since: IntArray | None = None

    @staticmethod
    def start(
        parameters: PictureParameters, step: int, tokens: IntArray, mask_token_id: int, starting_mask_ratio: float
    ) -> "PictureState":
        """Return the state of a picture before its first step."""
        ones = np.ones(tokens.shape, np.float32)
        since = np.where(tokens == mask_token_id, np.int64(-1), step) if parameters.settings.row_cache else None
        return PictureState(parameters, step, tokens, ones, starting_mask_ratio, since)

    def tokens_before(self, step: int, mask_token_id: int) -> IntArray:
        """Return what the denoiser read at a step that the picture, drawn with a row cache, has behind it."""
        since = present(self.known_since, "what a state knows of the steps before")
        return np.where((since >= 0) & (since <= step), self.tokens, np.int64(mask_token_id))

    def after(self, step: Step, picture: int = 0) -> "PictureState":
        """Return the state after a step, in which the picture has this place."""
        since, known = self.known_since, ~step.mask[picture]
        return replace(
            self,
            next_step=step.index + 1,
            tokens=step.tokens[picture],
            probability=step.probability[picture],
            known_since=None if since is None else np.where((since < 0) & known, np.int64(step.index + 1), since),
        )

    def to_json(self) -> str:
        """Return the state as JSON, with a hash of itself."""
        content = {
            "parameters": self.parameters.to_dict(),
            "next_step": self.next_step,
            "starting_mask_ratio": self.starting_mask_ratio,
            "grid": list(self.tokens.shape),
            "tokens": packed(self.tokens.astype("<i4")),
            "probability": packed(self.probability.astype("<f4")),
            **({} if self.known_since is None else {"known_since": packed(self.known_since.astype("<i4"))}),
        }
        return sealed(_FORMAT, content)

    @staticmethod
    def from_json(text: str) -> "PictureState":
        """Read what `to_json` wrote.

        Raises
        ------
        StateError
            It is damaged, of a newer version, or anything else.
        """
        other = "this is no state, or one of another version"
        return _state(opened(text, _FORMAT, other=other, again="begin the picture again"))

    def save(self, path: str | Path) -> None:
        """Write the state to a file, which is replaced whole or not at all."""
        write_state(self.to_json(), path)

    @staticmethod
    def load(path: str | Path) -> "PictureState":
        """Read a file that `save` wrote; raises `StateError` as `from_json` does, also where there is none."""
        return PictureState.from_json(read_state(path))


def _state(values: Fields) -> PictureState:
    parameters = PictureParameters.from_dict(values.get("parameters", dict))
    shape = tuple(values.values("grid", int))
    if len(shape) != 2 or not all(1 <= side <= _LARGEST_SIDE for side in shape):
        raise StateError(f"the state's grid is {list(shape)}; begin the picture again")
    next_step, ratio = values.get("next_step", int), values.get("starting_mask_ratio", float)
    probability = unpacked(values.get("probability", str), shape, "<f4").astype(np.float32)
    if not 0 <= next_step <= parameters.settings.steps or not 0.0 < ratio <= 1.0:
        raise StateError(f"the state stands before step {next_step} of {parameters.settings.steps}, ratio {ratio}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise StateError("the state's probabilities are not within 0 to 1; begin the picture again")
    tokens = unpacked(values.get("tokens", str), shape, "<i4").astype(np.int64)
    return PictureState(parameters, next_step, tokens, probability, ratio, _known_since(values, parameters, shape))


def _known_since(values: Fields, parameters: PictureParameters, shape: tuple[int, ...]) -> IntArray | None:
    if not parameters.settings.row_cache:
        return None
    return unpacked(values.get("known_since", str), shape, "<i4").astype(np.int64)
