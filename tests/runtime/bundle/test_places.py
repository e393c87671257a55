"""What is known of a place to write to before any work is done."""

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.places import check_folder, check_free, check_new_file
from amused_edge.runtime.errors import BundleError, OptionsError, OutputExistsError
from amused_edge.runtime.system.library_paths import check_name
from amused_edge.runtime.system.whole_file import whole_file
from tests.support.unprivileged import run_unprivileged

CHECKS = [check_free, check_new_file]
Check = Callable[[Path], None]


@pytest.mark.parametrize("check", [*CHECKS, check_name])
@pytest.mark.parametrize("path", ["", ".", "..", "/", "a/..", "a\0b", "a\0/b", "\ud800"])
def test_what_is_no_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Check, path: str) -> None:
    """Each ended in Python's own error, as a traceback."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionsError, match="is no name for a file or folder; choose another one"):
        check(Path(path))


@pytest.mark.parametrize("path", ["", "..", "a\0b"])
def test_a_file_is_not_begun_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionsError, match="is no name"), whole_file(Path(path)):
        raise AssertionError("the block must not run")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link", "loop"])
def test_what_is_there_is_left_alone(tmp_path: Path, check: Check, kind: str) -> None:
    """A link to nothing was found to be in the way only when the work was done."""
    place = tmp_path / "place.png"
    if kind == "file":
        place.touch()
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to({"link": tmp_path, "dangling link": "nowhere", "loop": place}[kind])
    with pytest.raises(OutputExistsError, match=r"place\.png exists; choose another"):
        check(place)


@pytest.mark.parametrize("check", CHECKS)
def test_a_name_too_long_is_refused(tmp_path: Path, check: Check) -> None:
    with pytest.raises(OptionsError, match="cannot be written: File name too long"):
        check(tmp_path / ("x" * 252 + ".png"))


@pytest.mark.parametrize("path", ["new/" + "x" * 256 + "/y", "new/y" + "x" * 255, "/".join(["x" * 200] * 25)])
def test_a_name_too_long_is_found_below_folders_that_are_still_to_be_made(tmp_path: Path, path: str) -> None:
    with pytest.raises(OptionsError, match="File name too long"):
        check_free(tmp_path / path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["file", "dangling link", "loop"])
def test_a_parent_that_is_no_folder_is_refused(tmp_path: Path, check: Check, kind: str) -> None:
    parent = tmp_path / "parent"
    if kind == "file":
        parent.touch()
    else:
        parent.symlink_to({"dangling link": "nowhere", "loop": parent}[kind])
    with pytest.raises(OptionsError, match=r"parent (is a file|does not exist|cannot be read)"):
        check(parent / "new.png")


def test_missing_folders_are_made_for_folders_only(tmp_path: Path) -> None:
    check_free(tmp_path / "a" / "b" / "new")
    check_new_file(tmp_path / "new.png")
    check_folder(tmp_path)
    for check in (check_new_file, lambda path: check_folder(path.parent)):
        with pytest.raises(OptionsError, match=r"folder .*a does not exist; create it first"):
            check(tmp_path / "a" / "new.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o500, 0o600, 0o000])
def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "closed").mkdir(mode=mode)
    code = (
        "import sys; from pathlib import Path\n"
        "from amused_edge.runtime.errors import OptionsError\n"
        "from amused_edge.runtime.bundle import places\n"
        "for check in (places.check_free, places.check_new_file):\n"
        "    try: check(Path('closed/new.png'))\n"
        "    except OptionsError as error: print(error)\n"
    )
    result = run_unprivileged([sys.executable, "-c", code], tmp_path, {})
    (tmp_path / "closed").chmod(stat.S_IRWXU)
    lines = result.stdout.splitlines()
    assert len(lines) == 2, result.stderr
    assert all("closed" in line and ("cannot be written" in line) for line in lines)


@pytest.mark.parametrize("way", ["inside", "deep", "dots", "link"])
def test_a_bundle_never_changes(small_bundle: Path, tmp_path: Path, way: str) -> None:
    """`quantize b b/sub` wrote into its own parent."""
    (tmp_path / "link").symlink_to(small_bundle)
    places = {
        "inside": small_bundle / "sub",
        "deep": small_bundle / "new" / "sub",
        "dots": small_bundle / ".." / small_bundle.name / "sub",
        "link": tmp_path / "link" / "sub",
    }
    with pytest.raises(OptionsError, match=r"lies inside the bundle .*small, which never changes"):
        check_free(places[way])
    check_free(small_bundle.parent / "sub")


def test_a_folder_with_another_manifest_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    check_free(tmp_path / "sub")


def test_a_bundle_is_not_looked_for_under_what_is_no_path(tmp_path: Path) -> None:
    """A NUL ended in Python's own error."""
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.open(f"{tmp_path}/a\0b")
