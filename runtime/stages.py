"""Stages of long work, counted for whoever watches."""

from collections.abc import Callable

OnStage = Callable[[str, int, int], None]
"""Called with what begins now, its number from 0, and how many stages there are."""


class Stages:
    """Tells `on_stage`, if there is one, of each stage that begins."""

    def __init__(self, on_stage: OnStage | None, total: int) -> None:
        self._on_stage = on_stage
        self._total = total
        self._index = -1

    def next(self, description: str) -> None:
        """Begin the next stage."""
        self._index += 1
        self.detail(description)

    def detail(self, description: str) -> None:
        """Say more of the stage that runs."""
        if self._on_stage is not None:
            self._on_stage(description, self._index, self._total)
