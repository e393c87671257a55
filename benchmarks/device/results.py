"""`results.json` of a latency benchmark, whoever wrote it: this package, or another runtime on its device.

`results.schema.json` beside this file is the form, for those who write one. Reading is stricter than a schema can be:
figures must agree with each other, and labels with the subjects.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from amused_edge.benchmarks.device.course import Course, Golden, read_course, read_golden
from amused_edge.benchmarks.device.fields import optional_whole, text, whole
from amused_edge.benchmarks.device.measured import read_failure, read_footprint, read_timing
from amused_edge.benchmarks.device.quality import Quality, read_quality
from amused_edge.benchmarks.latency.results import LatencyResult, Timing
from amused_edge.benchmarks.report.write import FORMAT, SCHEMA_VERSION
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.bundle.manifest import DRAWING_ROLES
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings

ADVICE = "measure again, or give the file as it was written"
MAX_BYTES = 32_000_000


@dataclass(frozen=True)
class Device:
    """What figures were measured on.

    Attributes
    ----------
    device
        A name for people, for example "Pixel 9"; the CPU's where there is none.
    runtime
        What ran the loop, for example "amused-edge 0.1.0 for Kotlin, Android 16".
    cores
        Logical ones that the process may use.
    memory
        In bytes; None where the system does not tell.
    packages
        Versions, by name.
    flags
        What else bears on figures, as the device says it: provider, threads in fact, battery, instruction sets.
    """

    device: str
    runtime: str
    cpu: str
    cores: int
    memory: int | None
    system: str
    packages: dict[str, str]
    flags: tuple[str, ...] = ()

    def line(self) -> str:
        """Return one sentence for a page."""
        memory = "" if self.memory is None else f", {self.memory / 2**30:.1f} GiB"
        packages = "".join(f", {name} {number}" for name, number in self.packages.items())
        cpu = "" if self.device.startswith(self.cpu) else f"{self.cpu}, "
        flags = "".join(f"; {flag}" for flag in self.flags)
        return f"{self.device}: {cpu}{self.cores} cores{memory}; {self.system}; {self.runtime}{packages}{flags}."


@dataclass(frozen=True)
class Measured:
    """A bundle that was measured: its label, its recipe ("" for none), bytes of what text to image loads."""

    label: str
    recipe: str
    bytes: int


@dataclass(frozen=True)
class DeviceResults:
    """One file.

    Attributes
    ----------
    made
        When, ISO 8601.
    subjects
        The first is the baseline of its ratios.
    settings
        Of the loop; the first is that of overviews.
    threads, batches
        As in `LatencyOptions`.
    golden, course, quality
        What a device tells beside times, or what was weighed of it; none of a file that `bench latency` wrote.
    content
        The file's JSON.
    """

    made: str
    device: Device
    subjects: tuple[Measured, ...]
    prompt: str
    seed: int
    settings: tuple[SamplerSettings, ...]
    threads: tuple[int | None, ...]
    batches: tuple[int, ...]
    rounds: int
    result: LatencyResult
    golden: tuple[Golden, ...]
    course: tuple[Course, ...]
    quality: tuple[Quality, ...]
    content: dict[str, Any]


def read_results(path: Path) -> DeviceResults:
    """Read a file.

    Raises
    ------
    OptionsError
        It cannot be read, or is not a whole and consistent `results.json` of a latency benchmark.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OptionsError(
                f"{path} has more than {MAX_BYTES // 10**6} MB; give results.json of a latency benchmark"
            )
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OptionsError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionsError(f"{path} is not UTF-8; {ADVICE}") from error
    return parse_results(content, path.name)


def parse_results(content: str, name: str = "results.json") -> DeviceResults:
    """Read a text; `name` stands in errors, which are those of `read_results`."""
    try:
        value = json.loads(content, parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise OptionsError(f"{name} is not JSON ({error}); {ADVICE}") from error
    try:
        return _read_head(value, name)
    except OptionsError as error:
        raise error if name in str(error) else OptionsError(f"{name}: {error}; {ADVICE}") from error


def _read_head(value: Any, name: str) -> DeviceResults:
    root = Fields(value, name, ADVICE, OptionsError)
    head = root.get("format", str), root.get("kind", str), root.get("schema_version", int)
    if head != (FORMAT, "latency", SCHEMA_VERSION):
        shown = f"{quoted(head[0])}, kind {quoted(head[1])}, version {quoted(head[2])}"
        raise OptionsError(f"{name} is {shown}; give one of kind 'latency', version {SCHEMA_VERSION}")
    return _read(root, value, name)


def _read(root: Fields, value: dict[str, Any], name: str) -> DeviceResults:
    rounds = whole(root, "rounds", 1)
    found = DeviceResults(
        _time(root, name),
        _device(root.child("environment")),
        root.items("subjects", _subject),
        text(root, "prompt", 100_000),
        _seed(root),
        root.items("settings", _settings),
        tuple(optional_whole(root, "threads", number, 1) for number in root.get("threads", list)),
        tuple(root.values("batches", int)),
        rounds,
        LatencyResult(
            root.items("timings", lambda fields: read_timing(fields, rounds)),
            root.items("footprints", read_footprint),
            root.items("failures", read_failure),
        ),
        root.items("golden", read_golden) if "golden" in value else (),
        root.items("course", read_course) if "course" in value else (),
        root.items("quality", read_quality) if "quality" in value else (),
        value,
    )
    _check(found, name)
    return found


def _time(root: Fields, name: str) -> str:
    made = text(root, "made")
    try:
        datetime.fromisoformat(made)
    except ValueError as error:
        raise OptionsError(f"{name}: 'made' is {quoted(made)}, not a time as ISO 8601 writes it; {ADVICE}") from error
    return made


def _seed(root: Fields) -> int:
    return GenerationOptions(seed=root.get("seed", int)).seed


def _device(fields: Fields) -> Device:
    present = set(fields)
    cpu = text(fields, "cpu")
    packages = fields.get("packages", dict)
    if not all(isinstance(version, str) for version in packages.values()):
        raise OptionsError(f"environment.packages holds {quoted(packages)}; it must map names to versions")
    return Device(
        device=text(fields, "device") if "device" in present else cpu,
        runtime=text(fields, "runtime") if "runtime" in present else f"Python {text(fields, 'python')}",
        cpu=cpu,
        cores=whole(fields, "cores", 1),
        memory=optional_whole(fields, "memory", fields.raw("memory"), 1),
        system=text(fields, "system"),
        packages=packages,
        flags=tuple(_flag(flag) for flag in fields.get("flags", list)) if "flags" in present else (),
    )


def _flag(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise OptionsError(f"environment.flags holds {quoted(value)}; they must be texts of at most 1000 characters")
    return value


def _subject(fields: Fields) -> Measured:
    present = set(fields)
    sizes = {}
    if "bytes" in present:
        roles = fields.child("bytes")
        sizes = {role: whole(roles, role, 0) for role in roles}
    total = sum(sizes.get(role, 0) for role in DRAWING_ROLES)
    return Measured(text(fields, "label"), text(fields, "recipe") if "recipe" in present else "", total)


def _settings(fields: Fields) -> SamplerSettings:
    values = {name: fields.raw(name) for name in fields}
    try:
        return SamplerSettings(**values)
    except TypeError as error:
        raise OptionsError(f"settings {quoted(values)} are not those of the loop; {ADVICE}") from error


def _check(found: DeviceResults, name: str) -> None:
    """Refuse what does not fit together."""
    labels = [subject.label for subject in found.subjects]
    for what, values in (
        ("subjects", labels),
        ("settings", found.settings),
        ("threads", found.threads),
        ("batches", found.batches),
        ("timings", [_part(timing) for timing in found.result.timings]),
        ("footprints", [(f.label, f.threads, f.batch) for f in found.result.footprints]),
        ("golden", [golden.label for golden in found.golden]),
        ("quality", [quality.label for quality in found.quality]),
    ):
        if len(set(values)) != len(values):
            raise OptionsError(f"{name}: {what} holds something twice; {ADVICE}")
    if not (labels and found.settings and found.threads and found.batches):
        raise OptionsError(f"{name} lacks subjects, settings, threads or batches; {ADVICE}")
    kinds = {(label, threads, batch) for label in labels for threads in found.threads for batch in found.batches}
    settings = {(each.steps, each.guidance_scale) for each in found.settings}
    measured = [(one.label, one.threads, one.batch) for one in found.result.timings]
    measured += [(one.label, one.threads, one.batch) for one in found.result.footprints]
    for kind in measured:
        if kind not in kinds:
            raise OptionsError(f"{name} has figures of {quoted(kind[0])} that the run's settings do not name; {ADVICE}")
    for timing in found.result.timings:
        if timing.steps is not None and (timing.steps, timing.guidance_scale) not in settings:
            raise OptionsError(
                f"{name} has a picture of {timing.steps} steps, which is no setting of the run; {ADVICE}"
            )
    told = [one.label for one in found.result.failures] + [one.label for one in found.golden]
    told += [one.label for one in found.quality]
    for label in told + [one.label for one in found.course]:
        if label not in labels:
            raise OptionsError(f"{name} tells of {quoted(label)}, which is no subject of the run; {ADVICE}")


def _part(timing: Timing) -> tuple[object, ...]:
    return (*_kind(timing), timing.part, timing.cold, timing.steps, timing.guidance_scale)


def _kind(timing: Timing) -> tuple[str, int | None, int]:
    return timing.label, timing.threads, timing.batch


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return dict(pairs)
