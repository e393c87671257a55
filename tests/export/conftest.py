"""One tiny export for all tests of this folder; it is also the second half of the kill test."""

import pytest

from tests.support.made_once import made_once
from tests.support.tiny_export import TinyExport, _export_twice


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory: pytest.TempPathFactory) -> TinyExport:
    return made_once(tmp_path_factory, "tiny-export", _export_twice)
