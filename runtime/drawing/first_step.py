"""The first step's logits, which depend on the prompt alone as long as every token is masked: computed once."""

from collections.abc import Hashable, Iterator

import numpy as np

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.drawing.conditioning import Branches
from amused_edge.runtime.drawing.remembered import Remembered
from amused_edge.runtime.engines import Graph, call
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.rows import RowByRow


class FirstStep:
    """What the denoiser of one bundle says of a grid whose tokens are all masked. Several threads may use it.

    Pictures are the same to the bit as without it. A graph that computes rows by themselves has the logits of each
    branch kept, so that the negative prompt's serve all prompts; of any other, whose rows may round each other
    otherwise, only those of a whole call. How many branches there are decides, too, how an engine shares its threads,
    so logits of a branch alone are not those of the same branch in a pair.

    Parameters
    ----------
    capacity
        Branches that are remembered, (N, V) float32 each; those unused for longest go first.
    """

    def __init__(self, capacity: int) -> None:
        self._remembered = Remembered[tuple[FloatArray, ...]](capacity)

    def __call__(
        self, denoiser: Graph, tokens: IntArray, branches: Branches, cancellation: Cancellation | None
    ) -> list[FloatArray]:
        """Return the logits (N, V) of each branch; read-only.

        Parameters
        ----------
        tokens
            (h, w), all masked.
        """
        if cancellation is not None:
            cancellation.check()
        parts = _parts(denoiser, len(branches.names))
        keys: list[Hashable] = [(len(branches.names), *(branches.names[row] for row in part)) for part in parts]
        found = {key: known for key in keys if (known := self._remembered.get(key)) is not None}
        missing = {key: part for key, part in zip(keys, parts, strict=True) if key not in found}
        inputs = [_inputs(tokens, branches, part) for part in missing.values()]
        made = _run(denoiser, inputs, len(branches.names), cancellation) if inputs else iter(())
        for (key, part), logits in zip(missing.items(), made, strict=True):
            logits.flags.writeable = False
            found[key] = self._remembered.put(key, tuple(logits), size=len(part))
        return [logits for key in keys for logits in found[key]]

    def close(self) -> None:
        """Drop what is remembered, and remember nothing more."""
        self._remembered.close()


def _parts(denoiser: Graph, count: int) -> list[range]:
    """Return the rows of a call that depend on each other, together."""
    return [range(row, row + 1) for row in range(count)] if isinstance(denoiser, RowByRow) else [range(count)]


def _inputs(tokens: IntArray, branches: Branches, rows: range) -> Arrays:
    values = {name: value[rows.start : rows.stop] for name, value in branches.values.items()}
    return {"tokens": np.stack([tokens] * len(rows)), **values}


def _run(denoiser: Graph, inputs: list[Arrays], of: int, cancellation: Cancellation | None) -> Iterator[FloatArray]:
    """Yield the logits of each part of a call of `of` rows."""
    if isinstance(denoiser, RowByRow):
        return (outputs["logits"] for outputs in denoiser.some(inputs, of, cancellation))
    return (call(denoiser, part, cancellation)["logits"] for part in inputs)
