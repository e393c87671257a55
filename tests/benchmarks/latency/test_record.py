"""Records of turns in the run's folder: their fields are those that earlier runs have there."""

import json
from typing import Any

import pytest

from amused_edge.benchmarks.latency.record import PictureTimes, TurnMemory, TurnRecord
from amused_edge.benchmarks.machine.memory import Memory

WARM = {
    "ready": 2.5,
    "load": 1.0,
    "first": 0.75,
    "load_average": None,
    "pictures": [{"steps": 4, "guidance_scale": 2.5, "seconds": [1.0, 2.0]}],
    "stages": {"denoiser": [0.1, 0.2]},
    "peaks": {"denoiser": {"int8": [90.0], "float32": [40.0]}},
    "memory": {
        "loaded": {"total": 3, "anonymous": 2, "file_backed": 1},
        "peak": {"total": 5, "anonymous": None, "file_backed": None},
    },
}


@pytest.mark.parametrize(
    "kept", [WARM, {"ready": None, "load": None}, {"ready": 3.0, "load": 2.0}, {"error": "no luck"}]
)
def test_a_record_survives_the_round_trip(kept: dict[str, Any]) -> None:
    """To the letter: fields stand in the same order, and one that a kind of turn does not have is not there."""
    assert json.dumps(TurnRecord.from_dict(kept).to_dict()) == json.dumps(kept)


def test_a_warm_turn_has_typed_parts() -> None:
    found = TurnRecord.from_dict(WARM)
    assert found.pictures == (PictureTimes(4, 2.5, [1.0, 2.0]),)
    assert found.memory == TurnMemory(Memory(3, 2, 1), Memory(5, None, None))
    assert (found.ready, found.error) == (2.5, None)
