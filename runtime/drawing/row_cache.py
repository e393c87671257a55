"""What one picture's calls of the denoiser leave for the next: rows of its layers that need not be computed again.

A row is a token, or the patch of tokens that a U-ViT merges. Rows whose tokens were known at the call before have their
keys, values and last hidden states from when they were last computed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import BoolArray, FloatArray, IntArray
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import KEPT, PLACES, ROWS, GraphEntry
from amused_edge.runtime.drawing.conditioning import Conditioning
from amused_edge.runtime.engines import Graph, call
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.rows import RowByRow
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings


@dataclass(frozen=True)
class _Kept:
    """What a branch's last call left.

    Attributes
    ----------
    step
        Of that call.
    order
        (N,) rows of the grid as they lie in `values`; those that were masked at that call come first.
    masked
        How many these are.
    values
        Name of an input -> (1, N, D).
    """

    step: int
    order: IntArray
    masked: int
    values: dict[str, NDArray[Any]]


class RowCache:
    """The row cache of one picture.

    Parameters
    ----------
    denoiser
        As the manifest describes it.
    every
        At each step that is a multiple of this, all rows are computed.
    """

    def __init__(self, denoiser: GraphEntry, every: int, mask_token_id: int) -> None:
        self._every = every
        self._mask_token_id = mask_token_id
        self._names = [spec.name for spec in denoiser.inputs if spec.name.startswith(KEPT)]
        self._count = next(int(spec.shape[1]) for spec in denoiser.inputs if spec.name == PLACES)
        self._kept: dict[int, _Kept] = {}
        self.share = 1.0  # of the rows that the last call computed, the mean over its branches

    def __call__(
        self,
        denoiser: Graph,
        step: int,
        tokens: IntArray,
        conditioning: Conditioning,
        cancellation: Cancellation | None = None,
    ) -> list[FloatArray]:
        """Return the logits (h*w, V) of each branch, the last of which is the prompt's.

        Parameters
        ----------
        step
            From 0; later than that of the call before.
        tokens
            (h, w), of which no more are masked than at the call before.
        """
        masked = self._masked_rows(tokens)
        branches = len(next(iter(conditioning.values())))
        calls = []
        for branch in range(branches):
            values = {name: value[branch : branch + 1] for name, value in conditioning.items()}
            order, computed, kept = self._rows(branch - branches, step, masked)
            places = np.argsort(order)[None]
            calls.append(
                (order, {"tokens": tokens[None], **values, **kept, ROWS: order[None, :computed], PLACES: places})
            )
        self.share = float(np.mean([inputs[ROWS].size for _, inputs in calls])) / self._count
        outputs = _run(denoiser, [inputs for _, inputs in calls], cancellation)
        for branch, ((order, _), found) in enumerate(zip(calls, outputs, strict=True)):
            values = {name: found[name.removeprefix(KEPT)] for name in self._names}
            self._kept[branch - branches] = _Kept(step, order, int(masked.sum()), values)
        return [found["logits"][0] for found in outputs]

    def steps_before(self, step: int) -> Iterator[int]:
        """Return the steps whose calls left what the one of this step finds."""
        return iter(range(step - step % self._every, step))

    def _rows(self, branch: int, step: int, masked: BoolArray) -> tuple[IntArray, int, Arrays]:
        """Return the rows (N,), those to compute first, how many these are, and what is kept of the others.

        Of the computed ones, those that are masked come first: they are the ones that the next call computes.
        """
        last = self._kept.pop(branch, None)
        kept: dict[str, NDArray[Any]] = {}
        if last is None or last.step // self._every != step // self._every:
            computed, rest = np.arange(self._count), np.empty(0, np.int64)
        else:
            computed, rest = last.order[: last.masked], last.order[last.masked :]
            kept = {name: value[:, last.masked :] for name, value in last.values.items()}
        open_rows = masked[computed]
        order = np.concatenate([computed[open_rows], computed[~open_rows], rest])
        return order, len(computed), kept

    def _masked_rows(self, tokens: IntArray) -> BoolArray:
        """Return which rows hold a masked token, (N,)."""
        height, width = tokens.shape
        side = math.isqrt(tokens.size // self._count)
        patches = (tokens == self._mask_token_id).reshape(height // side, side, width // side, side)
        return np.asarray(patches.any(axis=(1, 3)).reshape(-1))


def check_row_cache(settings: SamplerSettings, bundle: Bundle) -> None:
    """Raise `OptionsError` if settings ask for the row cache of a bundle that has none."""
    if settings.row_cache and not bundle.manifest.keeps_rows:
        raise OptionsError(
            f"row_cache is {settings.row_cache}, and {bundle.path} has none; export it with --row-cache, or leave "
            "row_cache out"
        )


def _run(denoiser: Graph, calls: list[Arrays], cancellation: Cancellation | None) -> list[dict[str, NDArray[Any]]]:
    """Return the outputs of each branch's call; they have not the same sizes, so are never one batch."""
    if isinstance(denoiser, RowByRow):
        return denoiser.some(calls, len(calls), cancellation)
    return [call(denoiser, inputs, cancellation) for inputs in calls]
