"""What a run would take on so many machines like one whose times are known. Nothing is drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amused_edge.benchmarks.report.run_folder import RESULTS_NAME
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings

if TYPE_CHECKING:
    from amused_edge.benchmarks.device.results import DeviceResults
    from amused_edge.benchmarks.latency.results import Timing

ASSUMED_SECONDS, ASSUMED_STEPS, ASSUMED_CORES = 30.2, 12, 2
ASSUMED = (
    f"nothing was measured; assumed are {ASSUMED_SECONDS:g} s a picture of {ASSUMED_STEPS} guided steps on "
    f"{ASSUMED_CORES} cores, as amused-256 in float32 takes on an AMD EPYC (Zen 4); --latency gives your own"
)


@dataclass(frozen=True)
class Drawing:
    """Pictures of one bundle with one setting.

    Attributes
    ----------
    label, bundle
        Name, and SHA-256 of its manifest.
    pictures
        How many there will be.
    passes
        How often the loop is gone through for each, at most: a bundle that is measured beside a reference is asked
        about the reference's path and goes its own, which are one until they part.
    """

    label: str
    bundle: str
    settings: SamplerSettings
    pictures: int
    passes: int = 1


@dataclass(frozen=True)
class Plan:
    """An estimate.

    Attributes
    ----------
    pictures
        In all.
    core_hours
        Of drawing; at most, where bundles are measured beside a reference.
    cores
        Of a machine.
    basis
        A sentence: whose times these are.
    """

    pictures: int
    core_hours: float
    cores: int
    basis: str

    def hours(self, nodes: int) -> float:
        """Return the hours on so many machines."""
        return self.core_hours / (nodes * self.cores)

    def lines(self, nodes: Iterable[int]) -> list[str]:
        """Return the estimate as lines of text, with one for each number of machines."""
        rows = [f"{count:>6}  {count * self.cores:>6}  {_hours(self.hours(count)):>10}" for count in nodes]
        return [
            f"{self.pictures} picture{'' if self.pictures == 1 else 's'}, {_hours(self.core_hours)} core-hours at most",
            f"{'nodes':>6}  {'cores':>6}  {'hours':>10}",
            *rows,
            f"Basis: {self.basis}.",
            "Not counted: measuring the pictures, loading bundles, and shards that are lost with a node.",
        ]


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2g}"


def plan(drawings: Sequence[Drawing], latency: Path | None = None) -> Plan:
    """Estimate what drawing takes.

    Parameters
    ----------
    latency
        Folder of a latency benchmark that has the bundles; None assumes `ASSUMED`.

    Raises
    ------
    OptionsError
        The folder holds no results, or none of a bundle.
    """
    pictures = sum(drawing.pictures for drawing in drawings)
    if latency is None:
        branches = sum(each.pictures * each.passes * each.settings.steps * each.settings.branches for each in drawings)
        core_seconds = branches * ASSUMED_SECONDS / (2 * ASSUMED_STEPS) * ASSUMED_CORES
        return Plan(pictures, core_seconds / 3600, ASSUMED_CORES, ASSUMED)
    from amused_edge.benchmarks.device.results import read_results  # which knows what only benchmarks need

    results = read_results(latency / RESULTS_NAME)
    cores = results.device.cores
    core_seconds = sum(
        drawing.pictures * drawing.passes * _core_seconds(drawing, results, latency) for drawing in drawings
    )
    scaled = "" if all(_timed(drawing, results) for drawing in drawings) else "; other numbers of steps in proportion"
    basis = f"the times in {latency}, of {results.device.cpu} with {cores} cores{scaled}"
    return Plan(pictures, core_seconds / 3600, cores, basis)


def _timed(drawing: Drawing, results: "DeviceResults") -> bool:
    """Return whether a setting itself was timed."""
    wanted = (drawing.settings.steps, drawing.settings.guidance_scale)
    return wanted in [(timing.steps, timing.guidance_scale) for timing in results.result.timings]


def _core_seconds(drawing: Drawing, results: "DeviceResults", latency: Path) -> float:
    """Return the core-seconds of a picture: of the bundle's own times, those of the nearest setting, in proportion."""
    from amused_edge.benchmarks.latency.results import PICTURE

    subjects = results.content["subjects"]
    labels = [each["label"] for each in subjects if each.get("manifest_sha256") == drawing.bundle]
    found = [
        timing
        for timing in results.result.timings
        if timing.label in labels and timing.part == PICTURE and timing.batch == 1 and timing.steps
    ]
    if not found:
        known = ", ".join(str(each["label"]) for each in subjects)
        raise OptionsError(
            f"{latency} has no time of a picture by {drawing.label}, only of {known}; measure it: amused-edge bench "
            f"latency {drawing.label}"
        )
    steps, scale, core_seconds = min(
        ((timing.steps or 1, timing.guidance_scale or 0.0, _used(timing, results)) for timing in found),
        key=lambda each: _distance(drawing.settings, *each),
    )
    branches = 2 if scale > 1 else 1
    return core_seconds * (drawing.settings.steps * drawing.settings.branches) / (steps * branches)


def _used(timing: "Timing", results: "DeviceResults") -> float:
    """Return the core-seconds of a picture."""
    return timing.seconds.median * (timing.threads or results.device.cores)


def _distance(wanted: SamplerSettings, steps: int, scale: float, core_seconds: float) -> tuple[float, ...]:
    """Return how far what was timed is from what is wanted; of several equal ones the cheapest is nearest."""
    unlike = float((scale > 1) != wanted.guided)
    return unlike, abs(steps - wanted.steps), abs(scale - wanted.guidance_scale), core_seconds
