"""What a node gets is what was sent, once."""

from pathlib import Path

import pytest

from amused_edge.benchmarks.cluster import parcels
from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.benchmarks.cluster.parcels import Parcel, chunk, pack, unpack
from amused_edge.runtime.errors import OptionsError


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a node keeps copies in; chunks are of seven bytes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    monkeypatch.setattr(parcels, "CHUNK", 7)
    return tmp_path / "node" / "amused-edge" / "cluster"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "sent" / "a \u5c0f bundle"
    (place / "deep").mkdir(parents=True)
    (place / "weights").write_bytes(bytes(range(50)))
    (place / "deep" / "empty").touch()
    return place


class Sender:
    """Sends a parcel's chunks, and counts them."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel, self.sent = parcel, 0

    def __call__(self, digest: str, name: str, number: int) -> bytes:
        assert digest == self.parcel.digest
        self.sent += 1
        return chunk(self.parcel, name, number)


def test_a_folder_arrives_whole_and_once(folder: Path) -> None:
    parcel = pack(str(folder))
    sender = Sender(parcel)
    copy = unpack(parcel, sender)
    assert copy.name == folder.name
    assert (copy / "weights").read_bytes() == bytes(range(50))
    assert (copy / "deep" / "empty").read_bytes() == b""
    assert sender.sent == 8
    assert unpack(parcel, sender) == copy
    assert sender.sent == 8


def test_a_file_arrives_under_its_name(folder: Path) -> None:
    parcel = pack(str(folder / "weights"))
    copy = unpack(parcel, Sender(parcel))
    assert (copy.name, copy.read_bytes()) == ("weights", bytes(range(50)))


def test_what_changed_is_another_parcel(folder: Path) -> None:
    before = pack(str(folder)).digest
    (folder / "weights").write_bytes(bytes(range(1, 51)))
    assert pack(str(folder)).digest != before


@pytest.mark.parametrize("harm", ["content", "gone"])
def test_a_damaged_copy_is_replaced(folder: Path, harm: str) -> None:
    parcel = pack(str(folder))
    copy = unpack(parcel, Sender(parcel))
    (copy / "weights").unlink()
    if harm == "content":
        (copy / "weights").write_bytes(bytes(50))
    sender = Sender(parcel)
    assert (unpack(parcel, sender) / "weights").read_bytes() == bytes(range(50))
    assert sender.sent == 8


def test_what_arrives_otherwise_is_refused_and_not_kept(folder: Path, node: Path) -> None:
    """The file changed while the run went on."""
    parcel = pack(str(folder))
    with pytest.raises(ClusterError, match=r"weights did not arrive as it was"):
        unpack(parcel, lambda *what: bytes(len(chunk(parcel, *what[1:]))))
    assert [path.name for path in node.iterdir()] == [f"{parcel.digest}.lock"]


def test_what_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"cannot read .*nowhere"):
        pack(str(tmp_path / "nowhere"))
