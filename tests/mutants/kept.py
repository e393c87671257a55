"""A plug-in of pytest for runs under mutmut: what is expensive to make is made once for all of them, by the code as it
is, and the quickest tests are asked first.
"""

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support import made_once

TIMES = Path("times.json").resolve()
_seconds: Counter[str] = Counter()


def _kept(factory: Any, name: str, make: Any) -> Any:
    return _original(_Folder(), name, make)


class _Folder:
    """In the place of pytest's factory of temporary folders."""

    def getbasetemp(self) -> Path:
        return TIMES.parent


_original, made_once.made_once = made_once.made_once, _kept


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish() -> None:
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        TIMES.write_text(json.dumps(_seconds))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not TIMES.exists():
        return
    times = json.loads(TIMES.read_text())
    limit = float(os.environ["SLOWEST_TEST"])
    slow = [item for item in items if times.get(item.nodeid, 0) > limit]
    config.hook.pytest_deselected(items=slow)
    modules: dict[str, float] = defaultdict(float)
    for item in items:
        modules[item.nodeid.split("::")[0]] += times.get(item.nodeid, 0)
    kept = [item for item in items if item not in slow]
    items[:] = sorted(kept, key=lambda item: (modules[item.nodeid.split("::")[0]], times.get(item.nodeid, 0)))
