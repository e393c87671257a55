"""A package that coremltools' own builder made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.coreml_program import linear_block

SaveProgram = Callable[..., Path]


@pytest.fixture(scope="module")
def original(save_program: SaveProgram) -> Path:
    """y = x @ WEIGHT.T + BIAS + 0.1, both arrays in the weights file."""
    return save_program(linear_block, (3, 40))


@pytest.fixture
def package(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(original, tmp_path / "program.mlpackage"))
