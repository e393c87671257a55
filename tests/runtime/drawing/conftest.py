"""A pipeline whose graphs are plain functions, and the calls that it makes of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from amused_edge.runtime import AmusedPipeline, EngineOptions
from amused_edge.runtime.bundle.folder import Bundle
from tests.support.function_graphs import Calls, FunctionGraph
from tests.support.paths import TINY_BUNDLE


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def pipeline(calls: Calls) -> Iterator[AmusedPipeline]:
    def load(bundle: Bundle, role: str, options: EngineOptions) -> Any:
        return FunctionGraph(role, calls)

    with AmusedPipeline(Bundle.open(TINY_BUNDLE), EngineOptions(), load=load) as opened:
        yield opened
