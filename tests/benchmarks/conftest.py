"""What tests of the benchmarks share: subjects without a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amused_edge.benchmarks.subjects.subject import SubjectSpec
from tests.support.paths import ROOT

SUBJECTS = ROOT / "tests" / "support"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file in which fake subjects note what they were asked."""
    return tmp_path / "log.txt"


@pytest.fixture
def fake(log: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SubjectSpec]:
    """Return `fake(label, **behaviour)`: the spec of a `Fake`, which this process and those it starts can import."""
    monkeypatch.setenv("PYTHONPATH", str(SUBJECTS))
    monkeypatch.syspath_prepend(SUBJECTS)

    def make(label: str = "fake", kind: str = "Fake", files: tuple[Path, ...] = (), **behaviour: Any) -> SubjectSpec:
        arguments = {"name": label, "log": str(log), **behaviour}
        return SubjectSpec(label, f"fake_subject:{kind}", arguments, files, {"kind": "fake"})

    return make
