"""`amused-edge bench device`: the plan that devices follow, and what they send, kept as it comes and shown at the end.

It knows no server: whoever has one asks for the plan, and hands over what arrives.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.device.bench import devices_report, distinct_devices
from amused_edge.benchmarks.device.quality import Quality, Scales, split_quality
from amused_edge.benchmarks.device.results import DeviceResults, parse_results
from amused_edge.benchmarks.latency.measure import LatencyOptions
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, quoted

PROVIDERS = ("wasm", "webgpu")
ROWS = 64
"""Masked rows whose logits a device sends of a state: at full size 2 MB."""

MOST_DEVICES = 100
MOST_RECORDS = 10_000
_LONGEST = 2**20
"""Characters of results without logits."""


@dataclass(frozen=True)
class DevicePlan:
    """What every device does.

    Attributes
    ----------
    options
        As of `bench latency`; of one batch of 1.
    provider
        Of the browser's engine, one of `PROVIDERS`.
    ids
        Label of a bundle -> its name on the server.
    """

    specs: tuple[SubjectSpec, ...]
    options: LatencyOptions
    provider: str
    ids: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as devices are told (JSON)."""
        steps = self.options.settings[0].steps
        subjects = [{**spec.identity(), "bundle": self.ids[spec.label]} for spec in self.specs]
        told = {
            "subjects": subjects,
            **asdict(self.options),
            "settings": [each.to_dict() for each in self.options.settings],
            "provider": self.provider,
            "quality": {"steps": sorted({0, steps // 2}), "rows": ROWS},
        }
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain


class Collection:
    """Results of devices on their way into a folder.

    Parameters
    ----------
    scales
        Weighs logits; made when the first come.
    out
        A new folder, or that of an interrupted run with the same plan.
    on_news
        Called with a sentence when something comes.

    Raises
    ------
    OutputExistsError, OptionsError
        `out` holds something else, see `RunFolder`.
    """

    def __init__(
        self, plan: DevicePlan, scales: Callable[[], Scales], out: Path, on_news: Callable[[str], None] | None = None
    ) -> None:
        self._plan = plan.to_dict()
        asked = {name: value for name, value in self._plan.items() if name != "rounds"}  # which may be raised
        self._folder = RunFolder(out, {"command": "device", **asked})
        self._make_scales = scales
        self._scales: Scales | None = None
        self._tell = on_news or (lambda news: None)
        self._changed = threading.Condition()
        self._left = MOST_RECORDS
        self._told: dict[str, str] = {}

    def plan(self) -> Mapping[str, object]:
        """Return what devices do (JSON)."""
        return self._plan

    def receive(self, results: Mapping[str, Any]) -> Mapping[str, object]:
        """Keep what a device sent: `results.json` of its turns so far, see the guide; later ones replace earlier ones.

        Raises
        ------
        OptionsError
            It is no such results, or there are too many.
        """
        rest, raw = split_quality(results)
        run, complete = _run_of(rest), rest.pop("complete", True)
        if not isinstance(complete, bool):
            raise OptionsError(f"complete is {quoted(complete)}; it must be true or false")
        self._read(rest)
        with self._changed:
            key, kept = self._place(run)
            quality = [asdict(self._weigh(each)) for each in raw] or kept.get("quality", [])
            content = {**rest, **({"quality": quality} if quality else {})}
            found = self._read(content)
            self._left -= 1
            self._folder.add(key, {"run": run, "complete": complete, "results": content})
            self._changed.notify_all()
        done = max((len(timing.rounds) for timing in found.result.timings), default=0)
        state = "done" if complete else f"{done} of {self._plan['rounds']} rounds"
        if state != self._told.get(key):  # a device may hand over the same turns again
            self._told[key] = state
            self._tell(f"{found.device.device}: {state}")
        return {"run": run, "complete": complete, "quality": quality}

    def wait(self, devices: int, seconds: float) -> bool:
        """Wait for at most so long; return whether so many devices are done."""
        with self._changed:
            return self._changed.wait_for(lambda: self._complete() >= devices, seconds)

    def finish(self) -> list[DeviceResults]:
        """Write `results.json`, `report.md` and `report.html`, and each device's own results for `bench import`.

        Raises
        ------
        AmusedEdgeError
            No device sent anything.
        """
        with self._changed:
            runs = distinct_devices([self._read(record["results"]) for record in self._records()])
            if not runs:
                raise AmusedEdgeError(f"no device sent results; {self._folder.path} holds the plan, and can go on")
            own = {f"devices/{number}.json": _json(run.content) for number, run in enumerate(runs)}
            self._folder.finish({**own, **devices_report(runs, "device")})
        return runs

    def _records(self) -> list[dict[str, Any]]:
        return [self._folder[_key(number)] for number in range(len(self._folder))]

    def _complete(self) -> int:
        return sum(record["complete"] for record in self._records())

    def _place(self, run: str) -> tuple[str, dict[str, Any]]:
        """Return where a device's results are kept, and those that are."""
        records = self._records()
        number = next((place for place, record in enumerate(records) if record["run"] == run), len(records))
        if number >= MOST_DEVICES or self._left <= 0:
            raise OptionsError("this benchmark takes no more results; begin another")
        return _key(number), records[number]["results"] if number < len(records) else {}

    def _weigh(self, sent: object) -> Quality:
        if self._scales is None:
            self._scales = self._make_scales()
        return self._scales.weigh(sent)

    def _read(self, results: Mapping[str, Any]) -> DeviceResults:
        """Check results, also that they are of this plan."""
        content = _json(results)
        if len(content) > _LONGEST:
            raise OptionsError(f"the results have {len(content)} characters; a run has at most {_LONGEST}")
        found = parse_results(content, "the results")
        labels = [subject["label"] for subject in self._plan["subjects"]]
        for subject in found.subjects:
            if subject.label not in labels:
                raise OptionsError(f"the results are of {quoted(subject.label)}; the plan has: {', '.join(labels)}")
        return found


def _key(number: int) -> str:
    return f"device {number}"


def _run_of(results: dict[str, Any]) -> str:
    """Return what tells a device's run from others': its own word for it, or else what it is and runs."""
    run = results.pop("run", None)
    if run is None:
        made_of = _json([results.get("environment"), results.get("subjects")])
        return hashlib.sha256(made_of.encode()).hexdigest()[:16]
    if not isinstance(run, str) or not 0 < len(run) <= 100:
        raise OptionsError(f"run is {quoted(run)}; it must be a text of at most 100 characters")
    return run


def _json(content: Any) -> str:
    return json.dumps(content, indent=1)
