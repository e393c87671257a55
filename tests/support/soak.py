"""Many pictures at once with pipelines that are shared, or come and go: who stays, cancels, leaves, saves or closes."""

import hashlib
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from amused_edge.runtime import (
    AmusedPipeline,
    Cancellation,
    EngineOptions,
    GenerationCancelledError,
    GenerationOptions,
    GraphError,
    Inpainting,
    PictureState,
    TextToImage,
    Variation,
    outpainting,
)

AT_ONCE = 8
FEW = GenerationOptions(steps=2)


def tasks() -> list[tuple[Any, GenerationOptions]]:
    """Return what is drawn: every kind of task, one picture or two, guided or not."""
    fox = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    return [
        (TextToImage("a fox"), FEW),
        (TextToImage(["a boat", "a castle"], "red"), GenerationOptions(steps=2, seed=5)),
        (TextToImage("a panda", pictures_per_prompt=2), GenerationOptions(steps=3, guidance_scale=1.0)),
        (TextToImage("a fox"), GenerationOptions(steps=3, order="halton", temperature=0.0)),
        (Variation("a fox", fox, strength=0.7), FEW),
        (Inpainting("a fox", fox, mask, strength=1.0), FEW),
        (outpainting("a fox", fox[:32, :32], left=16, right=16, top=16, bottom=16), FEW),
    ]


def digest(images: Any) -> str:
    """Return a hash of pictures."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


class Soak:
    """What is expected, what came, and what was wrong.

    Parameters
    ----------
    expected
        Hash of each task's pictures; None: each is drawn alone first.
    """

    def __init__(self, bundle: Path, seed: int, expected: list[str] | None = None) -> None:
        self.bundle = bundle
        self.seed = seed
        self.tasks = tasks()
        self.came: Counter[str] = Counter()
        self.wrong: list[str] = []
        if expected is None:
            with AmusedPipeline.from_bundle(bundle, EngineOptions(threads=1)) as alone:
                expected = [digest(alone.generate(*each).images) for each in self.tasks]
        self.expected = expected

    def one(self, pipeline: AmusedPipeline, number: int) -> None:
        """Draw one of the tasks, and perhaps change one's mind."""
        chance = random.Random(f"{self.seed} {number}")
        which = chance.randrange(len(self.tasks))
        task, options = self.tasks[which]
        kind = chance.choice(["stays", "stays", "cancels", "leaves", "saves"])
        if kind == "cancels":
            self._cancelled(pipeline, which, chance.uniform(0, 0.2))
        elif kind == "leaves":
            steps = pipeline.stream(task, options)
            for _ in range(chance.randrange(1, 3)):
                next(steps, None)
            steps.close()
            self.came["left"] += 1
        elif kind == "saves":
            self._saved(pipeline, which)
        else:
            self._compare(which, pipeline.generate(task, options).images, "drawn")

    def _cancelled(self, pipeline: AmusedPipeline, which: int, seconds: float) -> None:
        task, options = self.tasks[which]
        wish = Cancellation()
        timer = threading.Timer(seconds, wish.cancel)
        timer.start()
        try:
            self._compare(which, pipeline.generate(task, options, cancellation=wish).images, "faster than its end")
        except GenerationCancelledError:
            self.came["cancelled"] += 1
        finally:
            timer.cancel()
            timer.join()

    def _saved(self, pipeline: AmusedPipeline, which: int) -> None:
        """Draw each picture up to its first step, and go on from the text of its state."""
        task, options = self.tasks[which]
        images = []
        for place, begun in zip(task.pictures(), pipeline.begin(task, options), strict=True):
            one = task.single(*place)
            first = begun.after(next(iter(pipeline.resume(begun, one))))
            state = PictureState.from_json(first.to_json())
            for step in pipeline.resume(state, one):
                state = state.after(step)
            images.append(pipeline.finish(state, one).image)
        self._compare(which, np.stack(images), "gone on with")

    def _compare(self, which: int, images: Any, how: str) -> None:
        self.came[how] += 1
        if digest(images) != self.expected[which]:
            self.wrong.append(f"task {which}, {how}, is another picture")

    def threads(self, first: int, count: int) -> None:
        """Many threads draw with one pipeline."""
        with (
            AmusedPipeline.from_bundle(self.bundle, EngineOptions(threads=1)) as pipeline,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            list(pool.map(lambda number: self.one(pipeline, number), range(first, first + count)))

    def pipelines(self, first: int, count: int) -> None:
        """Each thread opens pipelines, which keep graphs or drop them, and are closed by another thread meanwhile."""

        def work(number: int) -> None:
            chance = random.Random(f"p {self.seed} {number}")
            engine = EngineOptions.low_memory(threads=1) if chance.random() < 0.5 else EngineOptions(threads=1)
            pipeline = AmusedPipeline.from_bundle(self.bundle, engine)
            closing = threading.Timer(chance.uniform(0, 1.5), pipeline.close)
            closing.start()
            try:
                for each in range(4):
                    self.one(pipeline, 4 * number + each)
            except GraphError as error:
                if "closed" not in str(error):
                    self.wrong.append(str(error))
                self.came["closed"] += 1
            finally:
                closing.cancel()
                closing.join()
                pipeline.close()

        with ThreadPoolExecutor(AT_ONCE // 2) as pool:
            list(pool.map(work, range(first // 4, (first + count) // 4)))
