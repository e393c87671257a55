"""A judge: a network that knows what a prompt asks for, and the true picture of every prompt.

A folder with `judge.onnx`, `judge.json`, `references.json` and `references.png`; the demo has one in `demo/judge`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics.sets import Features
from amused_edge.benchmarks.quality.instruments.onnx_model import only_picture_input, open_session, run
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pictures.sources import read_image

QUESTIONS = ("concept", "style", "background")
_LABELS = {"concept": "concepts", "style": "styles", "background": "backgrounds"}


class Judge:
    """An opened judge.

    Attributes
    ----------
    prompts
        Those that it has true pictures of.

    Raises
    ------
    OptionsError
        The folder is no judge.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._folder = folder
        try:
            labels = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
            self._labels = {question: list(labels[name]) for question, name in _LABELS.items()}
            entries = json.loads((folder / "references.json").read_text(encoding="utf-8"))
            self._entries = {str(entry["prompt"]): self._entry(entry) for entry in entries}
            self._sheet = np.asarray(read_image(folder / "references.png"))
            self._side = self._sheet.shape[1] // (1 + max(entry["column"] for entry in self._entries.values()))
            if self._sheet.shape[0] < self._side * (1 + max(entry["row"] for entry in self._entries.values())):
                raise ValueError("references.png has too few rows")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise OptionsError(
                f"{folder} holds no judge: {quoted(error)}; it needs judge.json and references.*"
            ) from error
        self.prompts = tuple(self._entries)
        self._session = open_session(folder / "judge.onnx", "the judge", threads)
        self._pictures = only_picture_input(self._session, f"the judge {folder}")
        missing = {*QUESTIONS, "features"} - {output.name for output in self._session.get_outputs()}
        if missing:
            raise OptionsError(f"the judge {folder} does not give {', '.join(sorted(missing))}")

    def _entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Check and return a true picture's entry: its place, and the place of each answer among the labels."""
        if any(type(entry[place]) is not int or entry[place] < 0 for place in ("row", "column")):
            raise ValueError(f"{quoted(entry['prompt'])} has no row and column")
        answers = {question: self._labels[question].index(entry[question]) for question in QUESTIONS}
        return {"row": entry["row"], "column": entry["column"], **answers}

    def check(self, prompts: Sequence[str], shape: tuple[int, int]) -> None:
        """Raise `OptionsError` if a prompt has no true picture, or true pictures are of another (height, width)."""
        missing = [prompt for prompt in prompts if prompt not in self._entries]
        if missing:
            raise OptionsError(
                f"{self._folder} has no true picture of {len(missing)} of {len(prompts)} prompts, the first "
                f"{quoted(missing[0])}; give prompts that it has, or leave the judge away"
            )
        if shape != (self._side, self._side):
            raise OptionsError(
                f"the true pictures of {self._folder} are {self._side} x {self._side}, the bundles' {shape[1]} x "
                f"{shape[0]}; leave the judge away"
            )

    def truth(self, prompt: str) -> ImageArray:
        """Return the true picture (H, W, 3) of one of its prompts."""
        entry = self._entries[prompt]
        top, left = (self._side * entry[place] for place in ("row", "column"))
        return self._sheet[top : top + self._side, left : left + self._side]

    def features(self, images: Sequence[ImageArray]) -> Features:
        """Return the features (n, D) of pictures."""
        features: Features = self._run(["features"], images)[0].astype(np.float64)
        return features

    def answers(self, prompts: Sequence[str], images: Sequence[ImageArray]) -> dict[str, NDArray[np.float64]]:
        """Return for each question (n,) where a picture shows what its prompt asks for: 1 or 0."""
        found = dict(zip(QUESTIONS, self._run(QUESTIONS, images), strict=True))
        return {
            question: (logits.argmax(axis=1) == [self._entries[p][question] for p in prompts]).astype(np.float64)
            for question, logits in found.items()
        }

    def _run(self, outputs: Sequence[str], images: Sequence[ImageArray]) -> list[NDArray[Any]]:
        feeds = ({self._pictures.name: batch} for batch in self._pictures.batches(images))
        batches = [run(self._session, outputs, feed, f"the judge {self._folder}") for feed in feeds]
        return [np.concatenate(parts)[: len(images)] for parts in zip(*batches, strict=True)]
