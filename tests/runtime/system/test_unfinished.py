"""What a killed process left is found by its name, and what goes with another file goes with it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.runtime.errors import AmusedEdgeError, OutputExistsError
from amused_edge.runtime.system.companions import companions, remove_abandoned_companions
from amused_edge.runtime.system.unfinished import abandoned, is_abandoned, remove_abandoned, unfinished
from amused_edge.runtime.system.whole_file import whole_file

WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from amused_edge.runtime.system.companions import companions
from amused_edge.runtime.system.whole_file import whole_file

with companions() as files:
    files.add(Path("fox-heatmap.png"), b"heat")
    with whole_file(Path("fox.png")) as file:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which a picture's process was killed after its heat map was written."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "fox-heatmap.png.txt").touch()
    assert subprocess.run([sys.executable, "-c", WRITE_AND_DIE], cwd=folder, check=False).returncode == -9
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_file_removes_what_the_first_left(place: Path) -> None:
    """Names were random, so that what a killed process left stayed for good."""
    assert [name.startswith(".fox.png.partial-") for name in names(place)[:2]].count(True) == 1
    with whole_file(place / "fox.png") as file:
        file.write(b"whole")
    assert (place / "fox.png").read_bytes() == b"whole"
    assert not abandoned(place / "fox.png")


def test_a_companion_without_its_chief_goes(place: Path) -> None:
    remove_abandoned_companions([place / "fox-heatmap.png"], place / "fox.png")
    assert [name for name in names(place) if "heatmap" in name] == ["fox-heatmap.png.txt"]


def test_a_companion_stays_with_its_chief(place: Path) -> None:
    """Killed between the two, or after both."""
    (place / "fox.png").write_bytes(b"whole")
    remove_abandoned_companions([place / "fox-heatmap.png"], place / "fox.png")
    assert (place / "fox-heatmap.png").read_bytes() == b"heat"
    assert not abandoned(place / "fox-heatmap.png")


def test_a_companion_that_is_another_file_stays(place: Path) -> None:
    """Somebody put one of that name there meanwhile."""
    (place / "fox-heatmap.png").unlink()
    (place / "fox-heatmap.png").write_bytes(b"mine")
    remove_abandoned_companions([place / "fox-heatmap.png"], place / "fox.png")
    assert (place / "fox-heatmap.png").read_bytes() == b"mine"


def _write_both(folder: Path) -> None:
    with companions() as files:
        files.add(folder / "b", b"2")
        files.add(folder / "taken", b"3")


def test_companions_are_whole_or_gone(tmp_path: Path) -> None:
    with companions() as files:
        files.add(tmp_path / "a", b"1")
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == ["a"]
    (tmp_path / "taken").touch()
    with pytest.raises(OutputExistsError, match="taken exists"):
        _write_both(tmp_path)
    assert names(tmp_path) == ["a", "taken"]
    with pytest.raises(AmusedEdgeError, match="cannot write"), companions() as files:
        files.add(tmp_path / "nowhere" / "c", b"4")
    assert names(tmp_path) == ["a", "taken"]


def test_files_on_a_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    with companions() as files:
        files.add(tmp_path / "a", b"1")
    assert names(tmp_path) == ["a"]
    with pytest.raises(OutputExistsError), companions() as files:
        files.add(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputExistsError), whole_file(tmp_path / "link") as file:
        file.write(b"3")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["a", "link"]


def test_whose_a_name_is(tmp_path: Path) -> None:
    """Another host's is nobody's business here, nor are a living process's and names that only look like it."""
    host = socket.gethostname()
    own = unfinished(tmp_path / "fox.png", ".part")
    assert own.name.startswith(f".fox.png.partial-{host}-{os.getpid()}-")
    assert own.suffix == ".part"
    gone = [tmp_path / f".fox.png.partial-{host}-{10**30}-0", tmp_path / f".fox.png.partial-{host}-{10**30}-1"]
    kept = [own, tmp_path / f".fox.png.partial-else{host}-{10**30}-0", tmp_path / f".fox.png.partial-{host}-x-0"]
    for path in (*gone[:1], *kept):
        path.touch()
    gone[1].mkdir()
    (gone[1] / "file").touch()
    assert [is_abandoned(path) for path in (*gone, *kept)] == [True, True, False, False, False]
    remove_abandoned(tmp_path / "fox.png")
    assert sorted(tmp_path.iterdir()) == sorted(kept)
