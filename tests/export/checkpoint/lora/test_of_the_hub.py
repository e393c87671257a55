"""A LoRA of the hub: fetched by its id, without what else its repository holds, and refused where it cannot be had."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amused_edge.export.checkpoint.lora.source import LoraSource, find_lora
from amused_edge.export.errors import CheckpointError
from tests.support.hub_client import point_at
from tests.support.loopback_hub import LoopbackHub, loopback_hub
from tests.support.paths import ROOT

LORA = ROOT / "demo" / "lora"
ID = "me/inks"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub() as served:
        point_at(served, tmp_path / "home", monkeypatch)
        yield served


def test_it_is_the_file_that_was_put_there(hub: LoopbackHub) -> None:
    hub.add(ID, LORA)
    found = find_lora(LoraSource.parse(f"{ID}:0.5"))
    assert found.name == ID
    assert found.file.read_bytes() == (LORA / "pytorch_lora_weights.safetensors").read_bytes()
    assert hub.fetched() == ["pytorch_lora_weights.safetensors"]
    hub.asked.clear()
    first = next(iter(hub.repositories[ID].commits))
    assert find_lora(LoraSource.parse(f"{ID}@{first}")).file == found.file
    assert hub.fetched() == []


@pytest.mark.parametrize(
    ("place", "message"), [(f"{ID}@gone", "it has no revision 'gone'"), ("me/other", "the hub has no such model")]
)
def test_what_is_not_there(hub: LoopbackHub, place: str, message: str) -> None:
    hub.add(ID, LORA)
    with pytest.raises(CheckpointError, match=message):
        find_lora(LoraSource.parse(place))
