"""Subjects without a network, for this process or one of their own: they note what they are asked, and fail as told."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.manifest import Geometry

HEIGHT, WIDTH, CODES, MASK, PIXELS = 4, 6, 20, 25, 4
GEOMETRY = Geometry(PIXELS * HEIGHT, PIXELS * WIDTH, HEIGHT, WIDTH, CODES, MASK, 77)
PALETTE = np.random.default_rng(5).integers(0, 256, (CODES, 3)).astype(np.uint8)


class Fake:
    """A subject.

    `log` is a file that gets a line for whatever is asked of `name`. `fails` is where it ends ("load", "draw", "stage",
    "audit") and `how` ("raise", "exit", "kill", "hang"). `draw_bytes` and `stage_bytes` are memory that drawing and
    each call of a stage take and keep. A `noisy` one prints like a careless library. Logits are of
    network `number`, and of network `later` once at most `below` tokens are masked; networks prefer other tokens.
    """

    geometry = GEOMETRY

    def __init__(self, name: str = "fake", log: str | None = None, engine: Any = None, **behaviour: Any) -> None:
        self.name, self.log, self.behaviour = name, log, behaviour
        self.kept: list[bytes] = []
        self.note(f"start {os.getpid()} threads {(engine or {}).get('threads')}")

    def note(self, what: str) -> None:
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{self.name}: {what}\n")

    def reach(self, place: str) -> None:
        """Print and fail, if that was asked for here."""
        if self.behaviour.get("noisy"):
            print('{"event": "loaded"}')
            os.write(1, b"noise without an end of line")
        if self.behaviour.get("fails") != place:
            return
        how = self.behaviour["how"]
        if how == "raise":
            raise ValueError(f"no luck in {place}")
        if how == "exit":
            sys.exit(3)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

    def load(self) -> None:
        self.note("load")
        self.reach("load")

    def close(self) -> None:
        self.note("close")

    def draw(self, prompt: str, settings: Any, seed: int, count: int) -> NDArray[np.uint8]:
        self.note(f"draw {prompt!r} steps {settings.steps} guidance {settings.guidance_scale:g} seed {seed} x {count}")
        self.take("draw_bytes")
        self.reach("draw")
        return np.zeros((count, PIXELS * HEIGHT, PIXELS * WIDTH, 3), np.uint8)

    def stages(self, prompt: str, settings: Any, batch: int) -> dict[str, Callable[[], object]]:
        def call() -> None:
            self.note(f"stage x {batch}")
            self.take("stage_bytes")
            self.reach("stage")

        return {"denoiser": call, "sampler": call}

    def take(self, name: str) -> None:
        self.kept.append(b"x" * self.behaviour.get(name, 0))

    def peaks(self) -> None:
        """None: it has no products."""

    def audit(self, prompt: str, settings: Any) -> dict[str, Any]:
        self.note("audit")
        self.reach("audit")
        return {}

    def logits(self, prompt: str, settings: Any) -> Callable[[int, Any, Any], NDArray[np.float32]]:
        first, later = self.behaviour.get("number", 0), self.behaviour.get("later", 0)
        below = self.behaviour.get("below", -1)

        def source(step: int, tokens: Any, rows: Any) -> NDArray[np.float32]:
            number = later if len(rows) <= below else first
            seed = int(np.sum(tokens.reshape(-1) * np.arange(1, tokens.size + 1)))
            rng = np.random.default_rng([seed, *prompt.encode()])
            logits = 30 * rng.standard_normal((tokens.size, CODES), np.float32)  # far above the noise of drawing
            return np.roll(logits, number, axis=1)[rows]

        return source

    def decode(self, tokens: Any) -> NDArray[np.uint8]:
        return PALETTE[tokens].repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)


class Coarse(Fake):
    """The same with another grid."""

    geometry = Geometry(8, 8, 2, 2, CODES, MASK, 77)
