"""Where things are kept that can be made again: which folder it is, and that drawing goes on without it."""

import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from amused_edge.runtime import EngineOptions, GenerationOptions
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.onnx import prepared as onnx_prepared
from amused_edge.runtime.errors import AmusedEdgeError, AmusedEdgeWarning
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.system import cache_folder
from amused_edge.runtime.system.prepared_store import PreparedStore, prepared_entries


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and no variable that names another folder."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, ".cache"), ("", ".cache"), ("~/kept", "kept"), ("relative", ".cache"), ("~other/kept", ".cache")],
)
def test_the_folder_is_the_one_of_the_specification(
    home: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    """A ~ that no shell had replaced made a folder of that name wherever the command was called."""
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert cache_folder.folder("verified") == home / expected / "amused-edge" / "verified"


@pytest.mark.parametrize("given", [None, "", "relative"])
def test_without_a_home_variable_the_users_entry_counts(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """An empty HOME was taken for the root of the file system."""
    import pwd

    entry = list(pwd.getpwuid(os.getuid()))
    entry[5] = str(tmp_path / "entry")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(entry))
    if given is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", given)
    assert cache_folder.folder("x") == tmp_path / "entry" / ".cache" / "amused-edge" / "x"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/kept")
    assert cache_folder.folder("x") == tmp_path / "entry" / "kept" / "amused-edge" / "x"


@pytest.fixture
def homeless(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and no entry of the user, as with `docker run --user 1000`."""
    import pwd

    def unknown(user: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def noted(do: Iterator[None]) -> str:
    """Return the one warning that this gives."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in do:
            pass
    (warning,) = [str(w.message) for w in seen if issubclass(w.category, AmusedEdgeWarning)]
    return warning


def keep_all(bundle: Path) -> Iterator[None]:
    """Whatever wants to keep something, twice."""
    for _ in range(2):
        verification.verify_once(Bundle.open(bundle))
        assert PreparedStore(1000).find("a") is None
        assert PreparedStore(1000).add("a", "first", lambda folder: (folder / "x").touch()) is None
        yield


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_is_told_once(small_bundle: Path) -> None:
    assert cache_folder.folder("verified") is None
    assert "there is no home folder to keep a cache in" in noted(keep_all(small_bundle))
    assert prepared_entries() == []


@pytest.mark.parametrize("kind", ["file", "dangling link", "file in place of our folder"])
def test_what_is_no_folder_is_told_once(small_bundle: Path, home: Path, kind: str) -> None:
    home.mkdir()
    if kind == "file":
        (home / ".cache").touch()
    elif kind == "dangling link":
        (home / ".cache").symlink_to("nowhere/at/all")
    else:
        (home / ".cache").mkdir()
        (home / ".cache" / "amused-edge").touch()
    assert f"{home}/.cache/amused-edge cannot be used" in noted(keep_all(small_bundle))
    assert prepared_entries() == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["mkdir", "touch"])
def test_a_full_or_broken_disk_is_told_once(
    small_bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, call, refuse)
    assert f"{home}/.cache/amused-edge cannot be used ({os.strerror(number)})" in noted(keep_all(small_bundle))


def test_an_engine_that_fails_on_a_full_disk_is_told_once_and_shortly(
    demo_bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime does not say that the disk is full: each graph wrote several lines with paths of its source."""
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if home in path.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(path, content)

    def fail(*_: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : graph.cc:5498 Failed to write")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(onnx_prepared, "_prepare", fail)

    def draw() -> Iterator[None]:
        with AmusedPipeline.from_bundle(demo_bundle, EngineOptions(cache_bytes=2**30)) as pipeline:
            pipeline.generate("a fox", GenerationOptions(steps=1))
        yield

    assert "(No space left on device)" in noted(draw())
    assert "graph.cc" not in caplog.text
    assert prepared_entries() == []


def test_a_cache_that_cannot_be_listed_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`amused-edge cache` has nothing else to do."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(AmusedEdgeError, match=r"cannot read the cache folder .*: Permission denied"):
        prepared_entries()
