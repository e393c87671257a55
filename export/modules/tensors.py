"""Named tensors as modules ask for them.

A module's constructor takes every tensor by name and shape. Run on a checkpoint that loads the weights; run on a
recorder it tells what a checkpoint must hold, so names and shapes are written down once, in the modules.
"""

from collections.abc import Callable

import torch

Read = Callable[[str, tuple[int, ...]], torch.Tensor]
"""(full name, shape) -> tensor of that shape."""


class Tensors:
    """A view of the tensors whose names start with a prefix.

    Parameters
    ----------
    read
        Gives a tensor by its full name.
    prefix
        "" or ends in a dot.
    """

    def __init__(self, read: Read, prefix: str = "") -> None:
        self._read = read
        self._prefix = prefix

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """Return the tensor `prefix + name`, which has this shape."""
        return self._read(self._prefix + name, shape)

    def child(self, name: str) -> "Tensors":
        """Return the view one name part further down."""
        return Tensors(self._read, f"{self._prefix}{name}.")


def declared_shapes(build: Callable[[Tensors], object]) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor that `build` takes, without any weights."""
    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        shapes[name] = shape
        return torch.empty(shape, device="meta")

    with torch.device("meta"):
        build(Tensors(record))
    return shapes


def all_finite(values: torch.Tensor) -> bool:
    """Say whether floats hold neither NaN nor infinity: in one pass without memory, as the extremes keep a NaN."""
    return bool(torch.isfinite(torch.stack(torch.aminmax(values.detach()))).all())
