"""What is measured: anything that draws a picture from a prompt with the mask-predict loop. A bundle, or a peer."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings

if TYPE_CHECKING:
    from amused_edge.benchmarks.execution.audit import Audit
    from amused_edge.benchmarks.execution.peaks import Peaks
    from amused_edge.benchmarks.subjects.teacher_forcing import LogitSource


class Subject(Protocol):
    """Draws pictures; nothing is loaded before `load`."""

    @property
    def geometry(self) -> Geometry:
        """Sizes of pictures, token grid and codebook."""
        ...

    def load(self) -> None:
        """Load all that a picture needs."""
        ...

    def close(self) -> None:
        """Release it."""
        ...

    def logits(self, prompt: str, settings: SamplerSettings) -> "LogitSource":
        """Return the guided logits of a prompt; the negative prompt is empty."""
        ...

    def decode(self, tokens: IntArray) -> ImageArray:
        """Turn finished tokens (B, h, w) into pictures (B, H, W, 3) uint8."""
        ...

    def draw(self, prompt: str, settings: SamplerSettings, seed: int, count: int) -> ImageArray:
        """Draw `count` pictures of a prompt, the way a user of this subject would."""
        ...

    def stages(self, prompt: str, settings: SamplerSettings, batch: int) -> Mapping[str, Callable[[], object]]:
        """Return the parts of drawing by name, each ready to be called again and again for `batch` pictures."""
        ...

    def audit(self, prompt: str, settings: SamplerSettings) -> "Mapping[str, Audit]":
        """Return what each graph runs in, by stage; empty where its engine does not tell."""
        ...

    def peaks(self) -> "Peaks | None":
        """Return products of the subject's engine, which those of its graphs are held against; None where it has none
        of the kind.
        """
        ...


@dataclass(frozen=True)
class SubjectSpec:
    """A subject as it is named from outside, so that a process of its own can make it.

    Attributes
    ----------
    label
        Its name in tables; no two of a run are alike.
    target, arguments
        "module:Class", and what the class is called with (JSON).
    files
        What a picture needs from the disk.
    facts
        What the results tell of it (JSON).
    """

    label: str
    target: str
    arguments: dict[str, Any]
    files: tuple[Path, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.stat().st_size for file in self.files)

    def identity(self) -> dict[str, Any]:
        """Return what a run's records depend on and its results tell, without this machine's paths (JSON)."""
        return {"label": self.label, **self.facts, "engine": self.arguments.get("engine", {})}


def make_subject(target: str, arguments: Mapping[str, Any]) -> Subject:
    """Make the subject of a spec."""
    module, _, name = target.partition(":")
    subject: Subject = getattr(importlib.import_module(module), name)(**arguments)
    return subject


def distinct(specs: list[SubjectSpec]) -> list[SubjectSpec]:
    """Return the specs with "(2)", "(3)" behind labels that came before: a subject may be measured against itself."""
    counts: dict[str, int] = {}
    result = []
    for spec in specs:
        counts[spec.label] = counts.get(spec.label, 0) + 1
        number = counts[spec.label]
        label = spec.label if number == 1 else f"{spec.label} ({number})"
        result.append(SubjectSpec(label, spec.target, spec.arguments, spec.files, spec.facts))
    if len({spec.label for spec in result}) != len(result):
        raise OptionsError("two bundles have the same name; rename a folder")
    return result
