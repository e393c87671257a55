"""A plug-in of pytest for runs under mutmut: what is expensive to make is made once for all of them, by the code as it
is, and the quickest tests are asked first.
"""

import gc
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support import made_once

TIMES = Path("times.json").resolve()
_seconds: Counter[str] = Counter()
_asked: set[str] = set()


def _kept(factory: Any, name: str, make: Any) -> Any:
    return _original(_Folder(), name, make)


class _Folder:
    """In the place of pytest's factory of temporary folders."""

    def getbasetemp(self) -> Path:
        return TIMES.parent


_original, made_once.made_once = made_once.made_once, _kept


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        TIMES.write_text(json.dumps(_seconds))
    if session.config.option.collectonly:
        gc.freeze()  # what is loaded is shared with the forks, which are many


def pytest_configure(config: pytest.Config) -> None:
    """Collect files, as hundreds of names are looked for one by one."""
    names = [each for each in config.args if "::" in each]
    if names:
        config.args = sorted({each.split("::")[0] for each in names})
    _asked.clear()
    _asked.update(names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _asked:
        items[:] = [item for item in items if item.nodeid in _asked]
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
