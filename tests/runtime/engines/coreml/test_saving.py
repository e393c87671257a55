"""Packages are whole or there is an error, and coremltools leaves and says nothing beside it."""

import atexit
import io
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813  as in all of its documentation

from amused_edge.runtime.engines.coreml.package import package_files
from amused_edge.runtime.engines.coreml.program import read_program
from amused_edge.runtime.engines.coreml.saving import converting
from amused_edge.runtime.errors import BundleError

SaveProgram = Callable[..., Path]

UNLIKE = "what the disk holds is not what was written to it"
WEIGHT = np.random.default_rng(3).standard_normal((12, 40)).astype(np.float32)


def linear_block(x: Any) -> Any:
    return mb.linear(x=x, weight=WEIGHT, name="y")


def test_nothing_stays_in_the_temporary_folder(
    save_program: SaveProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of each package did, until the process ended, and for good where it was killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    save_program(linear_block, (2, 40))  # Python's own temporary folders leave a callback, once
    at_exit = atexit._ncallbacks()  # what removes a copy then, tells of a disk that cannot by a traceback
    package = save_program(linear_block, (2, 40))
    assert atexit._ncallbacks() == at_exit
    assert list(tmp_path.iterdir()) == []
    assert list(package.parent.iterdir()) == [package]
    assert tempfile.tempdir == str(tmp_path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_files_that_an_error_holds_go_while_it_is_quiet(tmp_path: Path) -> None:
    """On a disk that became read-only, each said so by a traceback when the process ended."""

    class Stubborn:
        def __del__(self) -> None:
            gone.append(isinstance(sys.stderr, io.StringIO))
            raise OSError(30, "Read-only file system")

    def fail(_: Any) -> None:
        held = Stubborn()
        raise ValueError(f"a mistake of {held.__class__.__name__}")

    def fail_again() -> None:
        try:
            fail(1)
        except ValueError:
            raise RuntimeError("no operator of this kind") from None

    gone: list[bool] = []
    with pytest.raises(RuntimeError, match="no operator") as caught, converting(tmp_path):
        fail_again()
    assert gone == [True]
    assert caught.value.__context__ is not None


def test_the_same_program_gives_the_same_package(save_program: SaveProgram) -> None:
    """Its parts had random names."""
    first, second = (save_program(linear_block, (2, 40)) for _ in range(2))
    files = [package_files(package.parent, package.name) for package in (first, second)]
    assert files[0] == files[1]
    assert len(files[0]) == 3
    for name in files[0]:
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes(), name
    manifest = json.loads((first / "Manifest.json").read_text())
    assert manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["name"] == "model.mlmodel"
    assert read_program(first).constants


@pytest.mark.parametrize(
    "said", ["[MIL FileWriter]: Unable to open x file stream for writing", "no operator of this kind"]
)
def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path, said: str) -> None:
    """coremltools' `RuntimeError` went past what makes one line of a full disk; others are mistakes, and stay."""
    with pytest.raises(OSError if "writing" in said else RuntimeError, match=re.escape(said)), converting(tmp_path):
        raise RuntimeError(said)
    assert list(tmp_path.iterdir()) == []


def spoil_head(package: Path) -> None:
    """The writer notes last, in the first bytes, how many values there are."""
    weights = package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    data = bytearray(weights.read_bytes())
    data[0] += 1
    weights.write_bytes(data)


def spoil_values(package: Path) -> None:
    weights = package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    data = bytearray(weights.read_bytes())
    start = data.index(WEIGHT.tobytes()) + 400
    data[start : start + 64] = bytes(64)
    weights.write_bytes(data)


def spoil_places(package: Path) -> None:
    """What says where the first values lie is missing."""
    weights = package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    data = bytearray(weights.read_bytes())
    data[64:128] = bytes(64)
    weights.write_bytes(data)


def leave_a_file(package: Path) -> None:
    (package / "Manifest.c19b30b7").touch()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_head, "says that it has 3 of 2 values"),
        (spoil_values, UNLIKE),
        (spoil_places, "is no Core ML package that can be read"),
        (leave_a_file, "left other files: ['Manifest.c19b30b7']"),
    ],
)
def test_what_was_not_written_as_it_is_is_an_error(
    save_program: SaveProgram, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], said: str
) -> None:
    """A disk that failed once while weights were written left other ones in a bundle, with hashes that fitted."""
    save = ct.models.MLModel.save

    def save_badly(model: Any, path: str) -> None:
        save(model, path)
        spoil(Path(path))

    monkeypatch.setattr(ct.models.MLModel, "save", save_badly)
    with pytest.raises((OSError, BundleError), match=re.escape(said)):
        save_program(linear_block, (2, 40))


@pytest.mark.parametrize("times", [1, 2])
def test_a_copy_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Where a disk failed once, it stayed in the bundle."""
    rmtree, failed = shutil.rmtree, []

    def fail_some_times(path: Any, **options: Any) -> None:
        if len(failed) < times:
            failed.append(path)
        else:
            rmtree(path, **options)

    monkeypatch.setattr(shutil, "rmtree", fail_some_times)
    with pytest.raises(OSError, match="cannot be removed") if times == 2 else nullcontext():  # noqa: SIM117
        with converting(tmp_path):
            Path(tempfile.mkdtemp(), "copy").touch()
    assert len(failed) == times
    assert len(list(tmp_path.iterdir())) == times - 1


def test_a_temporary_file_that_could_not_be_written_goes_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is looked for when the process ends, and a traceback follows the error's one line."""
    rmtree, left = shutil.rmtree, []

    def look(path: Any, **options: Any) -> None:
        left.extend(Path(path).glob("*"))
        rmtree(path, **options)

    def write() -> None:
        file = tempfile.NamedTemporaryFile("w")  # noqa: SIM115  as coremltools opens it
        file.write(1)  # type: ignore[call-overload]  raises within `tempfile`, as a disk's error does

    monkeypatch.setattr(shutil, "rmtree", look)
    with pytest.raises(TypeError) as caught, converting(tmp_path):
        write()
    assert left == []
    assert [entry.name for entry in caught.traceback][-1] == "write"
