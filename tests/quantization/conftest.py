"""One tiny bundle for all tests of this folder that need a real one."""

import pytest

from amused_edge.runtime.bundle import Bundle
from tests.conftest import Validated


@pytest.fixture(scope="session")
def tiny_bundle(validated: Validated) -> Bundle:
    """Random weights, with every kind of weight that export writes; read-only by convention."""
    return Bundle.open(validated.bundle)
