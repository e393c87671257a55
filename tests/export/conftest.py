"""One tiny export for all tests of this folder, which is also the second half of the kill test."""

import pytest

from tests.support.made_once import made_once
from tests.support.one_trace import forbid_second_trace
from tests.support.tiny_export import TinyExport, _export_twice


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory: pytest.TempPathFactory) -> TinyExport:
    return made_once(tmp_path_factory, "tiny-export", _export_twice)


@pytest.fixture
def no_second_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_second_trace(monkeypatch)
