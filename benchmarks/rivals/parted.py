"""What is measured here: a model in parts that are called by themselves, each for any number of pictures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from amused_edge.benchmarks.subjects.subject import make_subject
from amused_edge.runtime.sampling.options import SamplerSettings

DENOISER, DECODER, SAMPLER, PICTURE = "denoiser", "image_decoder", "sampler", "picture"


@dataclass(frozen=True)
class Part:
    """A part of drawing, or a whole picture.

    Attributes
    ----------
    name
        "denoiser", "image_decoder", "sampler" or "picture".
    rows
        Of the network in a call; pictures, of other parts.
    decoder
        Which, where there are several.
    use
        Which of the ways to use a network, where there are several.
    """

    name: str
    rows: int
    decoder: str = ""
    use: str = ""


class Parted(Protocol):
    """A model in parts; nothing is loaded before `load`."""

    def load(self) -> None:
        """Load the denoiser."""
        ...

    def close(self) -> None:
        """Release all."""
        ...

    def part(self, part: Part) -> Callable[[], Any]:
        """Return a part with its inputs, ready to be called again and again.

        It returns what it computes, and holds what is loaded for it alone.
        """
        ...


@dataclass
class Ours:
    """A bundle of ours, or a peer of the same checkpoint, in parts.

    Attributes
    ----------
    target, arguments
        Of its `SubjectSpec`.
    prompt, settings
        Of pictures.
    engine
        "threads".
    """

    target: str
    arguments: dict[str, Any]
    prompt: str
    settings: dict[str, Any]
    engine: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        temperature = self.settings["temperature"]
        heat = tuple(temperature) if isinstance(temperature, list) else temperature
        self._settings = SamplerSettings(**{**self.settings, "temperature": heat})
        engine = {**self.arguments.get("engine", {}), **self.engine}
        self._subject = make_subject(self.target, {**self.arguments, "engine": engine})

    def load(self) -> None:
        """Load all: what draws pictures here has one decoder, which is part of it."""
        self._subject.load()

    def close(self) -> None:
        """Release it."""
        self._subject.close()

    def part(self, part: Part) -> Callable[[], Any]:
        """Return a part."""
        if part.name == PICTURE:
            return partial(self._subject.draw, self.prompt, self._settings, 0, part.rows)
        pictures = part.rows // self._settings.branches if part.name == DENOISER else part.rows
        return self._subject.stages(self.prompt, self._settings, pictures)[part.name]
