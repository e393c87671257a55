"""Bundles side by side: from the command to the sheet."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amused_edge.benchmarks.scripts import side_by_side as script
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.paths import ROOT

BUNDLE = ROOT / "demo" / "bundle"
SHEET = ROOT / "demo" / "sheet.txt"
"""The prompts that the Makefile draws, for every purpose."""


def sheet(out: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> ImageArray:
    """What the script writes, drawn in one step."""
    monkeypatch.setattr(script, "GenerationOptions", lambda seed: GenerationOptions(seed=seed, steps=1))
    monkeypatch.setattr(sys, "argv", ["side_by_side", str(out), str(BUNDLE), *options])
    script._main()
    return np.asarray(Image.open(out))


def test_prompts_from_a_file_are_those_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = SHEET.read_text(encoding="utf-8").splitlines()
    spelled = [word for line in lines[:2] for word in ("--prompt", line)]
    file = sheet(tmp_path / "file.png", monkeypatch, "--prompts-file", str(SHEET), "--limit", "2")
    assert (file == sheet(tmp_path / "spelled.png", monkeypatch, *spelled)).all()


@pytest.mark.parametrize("limit", ["0", "-3"])
def test_a_limit_below_one_is_refused(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice would take all but the last three."""
    with pytest.raises(script.OptionsError, match=f"--limit is {limit}"):
        sheet(tmp_path / "out.png", monkeypatch, "--prompts-file", str(SHEET), "--limit", limit)
    assert not (tmp_path / "out.png").exists()
