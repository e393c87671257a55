"""A model in parts without a network, for a process of its own; imports nothing of ours before it is asked."""

from collections.abc import Callable
from typing import Any

import numpy as np

MB = 2**20


class FakeParted:
    """A part called "denoiser" takes `call_mb` for each row while it runs; a decoder, `decoder_mb` while it is held.

    `bad` is a decoder whose result is that.
    """

    def __init__(self, call_mb: int = 0, decoder_mb: int = 0, bad: dict[str, float] | None = None) -> None:
        self.call_mb, self.decoder_mb, self.bad = call_mb, decoder_mb, bad or {}

    def load(self) -> None:
        pass

    def close(self) -> None:
        pass

    def part(self, part: Any) -> Callable[[], Any]:
        held = np.ones(MB * self.decoder_mb * (part.name == "image_decoder"), np.uint8)

        def call() -> Any:
            taken = np.ones(MB * self.call_mb * part.rows * (part.name == "denoiser"), np.uint8)
            result = np.full(2, self.bad.get(part.decoder, 1.0), np.float32)
            result[0] += 0 * (len(taken) + len(held))
            return result

        return call
