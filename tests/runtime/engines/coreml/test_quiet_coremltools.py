"""What coremltools leaves beside a package, and what it says: nothing."""

import atexit
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813  as in all of its documentation

from amused_edge.runtime.engines.coreml.package import package_files
from amused_edge.runtime.engines.coreml.program import read_program
from amused_edge.runtime.engines.coreml.quiet_coremltools import writing

SaveProgram = Callable[..., Path]

WEIGHT = np.random.default_rng(3).standard_normal((12, 40)).astype(np.float32)


def linear_block(x: Any) -> Any:
    return mb.linear(x=x, weight=WEIGHT, name="y")


def test_nothing_stays_in_the_temporary_folder(
    save_program: SaveProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of each package did, until the process ended, and for good where it was killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
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
    with pytest.raises(RuntimeError, match="no operator") as caught, writing(tmp_path / "x"):
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
    with pytest.raises(OSError if "writing" in said else RuntimeError, match=re.escape(said)), writing(tmp_path / "x"):
        raise RuntimeError(said)
    assert list(tmp_path.iterdir()) == []
