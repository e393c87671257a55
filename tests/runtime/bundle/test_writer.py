"""A bundle appears complete or not at all, and nothing is ever overwritten."""

import errno
import hashlib
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import Manifest
from amused_edge.runtime.bundle.verification import verify
from amused_edge.runtime.bundle.writer import new_bundle, new_folder, passing_folder
from amused_edge.runtime.errors import BundleError, OptionsError, OutputExistsError
from amused_edge.runtime.system.whole_file import whole_file

BEGIN_AND = """
import os, sys
from pathlib import Path
from amused_edge.runtime.bundle.writer import new_bundle
with new_bundle(Path(sys.argv[1])) as writer:
    writer.write_text("half-written", "...")
    {}
"""
BEGIN_AND_DIE = BEGIN_AND.format("os._exit(9)")
BEGIN_AND_WAIT = BEGIN_AND.format("print('begun', flush=True); sys.stdin.read(); sys.exit(0)")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where to write: in a folder with nothing else in it, and a name that is a pattern to glob."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    return folder / "demo[1]*"


@pytest.fixture
def manifest(small_bundle: Path) -> Manifest:
    return Bundle.open(small_bundle).manifest


def write(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    with new_bundle(out) as writer:
        for entry in manifest.all_files():
            (writer.path / entry.path).write_bytes((small_bundle / entry.path).read_bytes())
        golden = writer.write_text("golden.json", "[ü]\n")
        writer.write_manifest(replace(manifest, files={**manifest.files, "golden.json": golden}))
        assert not out.exists()


def test_what_was_written_opens_and_verifies(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    write(out, manifest, small_bundle)
    bundle = Bundle.open(out)
    verify(bundle)
    assert bundle.golden.read_bytes() == "[ü]\n".encode()
    assert list(out.parent.iterdir()) == [out]


def test_missing_parent_folders_are_made(tmp_path: Path, manifest: Manifest, small_bundle: Path) -> None:
    out = tmp_path / "a" / "b" / "demo"
    write(out, manifest, small_bundle)
    assert Bundle.open(out).manifest.model == manifest.model


@pytest.mark.parametrize("error", [ValueError("a fault"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_nothing_is_left_behind_by_an_error(out: Path, error: BaseException) -> None:
    """Control-C included: half an hour of export ends in an empty folder, not in half a bundle."""
    with pytest.raises(type(error)) as caught, new_bundle(out) as writer:  # noqa: PT012
        writer.write_text("half-written", "...")
        raise error
    assert caught.value is error
    assert list(out.parent.iterdir()) == []


def test_without_a_manifest_there_is_no_bundle(out: Path) -> None:
    with pytest.raises(BundleError, match="the bundle has no manifest"), new_bundle(out) as writer:
        writer.write_text("golden.json", "{}")
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "empty folder", "folder", "dangling link"])
def test_what_exists_is_refused_before_any_work(out: Path, kind: str) -> None:
    if kind == "file":
        out.write_text("mine")
    elif kind == "dangling link":
        out.symlink_to(out.parent / "nowhere")
    else:
        out.mkdir()
    if kind == "folder":
        (out / "mine").write_text("mine")
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(OutputExistsError, match="exists; choose another folder or remove it"), new_bundle(out):
        raise AssertionError("the block must not run")
    assert sorted(out.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", ["file", "empty folder"])
def test_what_appears_meanwhile_is_not_overwritten(out: Path, manifest: Manifest, kind: str) -> None:
    """A rename would silently replace an empty folder."""
    with pytest.raises(OutputExistsError, match="exists"), new_bundle(out) as writer:  # noqa: PT012
        writer.write_manifest(manifest)
        if kind == "file":
            out.write_text("mine")
        else:
            out.mkdir()
    assert list(out.parent.iterdir()) == [out]
    assert out.is_dir() or out.read_text() == "mine"
    assert not out.is_dir() or list(out.iterdir()) == []


def test_a_full_disk_is_said_so(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BundleError, match=r"the disk is full: cannot write .*; nothing was kept"):  # noqa: SIM117
        with new_bundle(out) as writer:
            writer.write_text("golden.json", "{}")
    assert list(out.parent.iterdir()) == []


def test_another_fault_of_the_disk_keeps_its_reason(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "write_text", broken)
    with pytest.raises(BundleError, match=r"cannot finish .*: .*Input/output error"):  # noqa: SIM117
        with new_bundle(out) as writer:
            writer.write_text("golden.json", "{}")
    assert list(out.parent.iterdir()) == []


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(OptionsError, match="file is a file, where"),
        new_bundle(tmp_path / "file" / "demo"),
    ):
        raise AssertionError("the block must not run")
    assert (tmp_path / "file").read_text() == "mine"


def test_what_a_killed_process_left_is_removed(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", BEGIN_AND_DIE, str(out)], check=False)
    assert killed.returncode == 9
    assert len(list(out.parent.iterdir())) == 1  # hidden beside `out`
    assert not out.exists()
    write(out, manifest, small_bundle)
    assert list(out.parent.iterdir()) == [out]


def test_what_a_living_process_is_writing_is_kept(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN_AND_WAIT, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        (theirs,) = out.parent.iterdir()
        write(out, manifest, small_bundle)
        assert (theirs / "half-written").is_file()
        other.communicate("")
    assert list(out.parent.iterdir()) == [out]


def test_other_bundles_leftovers_are_none_of_our_business(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    """A name that is a pattern must not match its neighbours."""
    neighbour = out.parent / "demo1x"
    subprocess.run([sys.executable, "-c", BEGIN_AND_DIE, str(neighbour)], check=False)
    before = list(out.parent.iterdir())
    assert len(before) == 1
    write(out, manifest, small_bundle)
    assert sorted(out.parent.iterdir()) == sorted([*before, out])


def test_two_writers_in_one_process_do_not_touch_each_other(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    """Once, both had the same folder and the loser removed the winner's work."""
    with new_bundle(out) as first:
        first.write_manifest(manifest)
        with pytest.raises(BundleError, match="has no manifest"), new_bundle(out) as second:
            assert second.path != first.path
        assert first.path.is_dir()
    assert out.is_dir()


def test_a_leftover_with_an_absurd_process_id_is_removed(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    leftover = out.parent / f".{out.name}.partial-{socket.gethostname()}-{10**30}-0"
    leftover.mkdir()
    with new_bundle(out) as writer:
        writer.write_manifest(manifest)
    assert not leftover.exists()


def test_a_failure_leaves_no_new_parent_folders(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(BundleError, match="has no manifest"), new_bundle(tmp_path / "kept" / "a" / "b" / "demo"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert not list((tmp_path / "kept").iterdir())


def test_a_name_too_long_for_the_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="File name too long; choose another"), new_bundle(tmp_path / ("x" * 300)):
        raise AssertionError("the block must not run")


@pytest.mark.parametrize("name", ["x" * 230, "x" * 255, "ä" * 127])
def test_a_name_may_be_as_long_as_the_file_system_takes(
    tmp_path: Path, manifest: Manifest, small_bundle: Path, name: str
) -> None:
    """That of the temporary folder beside it was longer, and too long."""
    write(tmp_path / name, manifest, small_bundle)
    assert Bundle.open(tmp_path / name).manifest.model == manifest.model
    assert not list(tmp_path.glob(".*"))


# --- Files of another bundle.


def test_a_copied_file_has_its_own_entry(out: Path, manifest: Manifest, small_bundle: Path) -> None:
    """Size and hash are those of what was written, not of what the other manifest says; the other is left alone."""
    before = {file.name: file.read_bytes() for file in small_bundle.iterdir()}
    with new_bundle(out) as writer:
        for entry in manifest.all_files():
            assert writer.copy(small_bundle / entry.path, entry.path) == entry
        renamed = writer.copy(small_bundle / "denoiser.onnx.data", "other name")
        assert (renamed.path, renamed.bytes) == ("other name", 8)
        assert renamed.sha256 == hashlib.sha256(before["denoiser.onnx.data"]).hexdigest()
        (writer.path / "other name").unlink()
        writer.write_manifest(manifest)
    verify(Bundle.open(out))
    assert {file.name: file.read_bytes() for file in small_bundle.iterdir()} == before


def test_a_copy_is_no_link(out: Path, manifest: Manifest, small_bundle: Path, tmp_path: Path) -> None:
    """A bundle whose parent is removed or changed stays whole."""
    (tmp_path / "link").symlink_to(small_bundle / "golden.json")
    with new_bundle(out) as writer:
        writer.copy(tmp_path / "link", "golden.json")
        assert not (writer.path / "golden.json").is_symlink()
        (small_bundle / "golden.json").write_text("changed")
        assert (writer.path / "golden.json").read_text() == "{}"
        writer.write_manifest(manifest)


def test_a_missing_file_to_copy_leaves_nothing(out: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"), new_bundle(out) as writer:
        writer.copy(tmp_path / "missing", "golden.json")
    assert list(out.parent.iterdir()) == []


# --- Folders that are no bundles.


def test_a_new_folder_appears_with_all_that_was_written(out: Path) -> None:
    with new_folder(out) as folder:
        (folder / "deeper").mkdir()
        (folder / "deeper" / "file").write_text("whole")
        assert folder.parent == out.parent
        assert not out.exists()
    assert (out / "deeper" / "file").read_text() == "whole"
    assert list(out.parent.iterdir()) == [out]


def test_a_disk_that_fails_where_something_is_removed_leaves_nothing_in_a_new_folder(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hidden second name of an account stayed for good in what `validate` made."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with new_folder(out) as folder:
        with monkeypatch.context() as failing:
            failing.setattr(Path, "unlink", fail)
            failing.setattr(shutil, "rmtree", lambda *_, **__: None)
            with whole_file(folder / "account.md") as file:
                file.write(b"whole")
            with passing_folder(folder / "w8") as passing:
                (passing / "weights").touch()
        assert len(list(folder.iterdir())) == 3
    assert [path.name for path in out.iterdir()] == ["account.md"]
    assert (out / "account.md").read_bytes() == b"whole"


def test_a_new_folder_may_be_empty_and_deep(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b" / "c"):
        pass
    assert list((tmp_path / "a" / "b").iterdir()) == [tmp_path / "a" / "b" / "c"]


@pytest.mark.parametrize("error", [ValueError("a fault"), KeyboardInterrupt(), SystemExit(1)])
def test_a_folder_that_failed_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, new_folder(tmp_path / "a" / "b") as folder:  # noqa: PT012
        (folder / "file").write_text("half")
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_takes_no_place_that_is_taken(out: Path) -> None:
    with pytest.raises(OutputExistsError, match="exists"), new_folder(out):
        out.mkdir()
    assert list(out.parent.iterdir()) == [out]
    with pytest.raises(OutputExistsError, match="exists"), new_folder(out):
        raise AssertionError("the block must not run")


def test_a_full_disk_is_said_so_of_folders_too(out: Path) -> None:
    with pytest.raises(BundleError, match="the disk is full"), new_folder(out):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(out.parent.iterdir()) == []
