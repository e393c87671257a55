"""The command line called from unusual places: threads, folders that are gone; and prompts of unusual scripts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.cli.outputs import picture_paths
from amused_edge.runtime import OptionsError, TextToImage

COMMAND = str(Path(sys.executable).with_name("amused-edge"))


def test_a_thread_may_run_it() -> None:
    """Handlers of signals can be set in the main thread alone, and that was a traceback."""
    code = """
import sys, threading
from amused_edge.cli import main
sys.argv = ["amused-edge", "--version"]
thread = threading.Thread(target=main)
thread.start()
thread.join()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert "version" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be removed there")
def test_a_working_folder_that_is_gone_is_told_before_the_work(demo_bundle: Path, tmp_path: Path) -> None:
    """The picture was drawn, and then could not be written."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"""
import os, sys
os.rmdir({str(gone)!r})
from amused_edge.cli import main
sys.argv = ["amused-edge", "generate", {str(demo_bundle)!r}, "a fox", "--steps", "1"]
main()
"""
    command = [sys.executable, "-P", "-c", code]  # as the command, which looks for no module there
    result = subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("amused-edge: folder . does not exist")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("नमस्ते दुनिया", "नमस्ते-दुनिया-7.png"),
        ("cafe\u0301", "caf\u00e9-7.png"),
        ("สวัสดี", "สวัสดี-7.png"),
        ("../..", "picture-7.png"),
        ("a_b/c", "a-b-c-7.png"),
    ],
)
def test_names_keep_the_marks_of_their_script(prompt: str, name: str) -> None:
    """Vowel signs and accents were cut out of names."""
    assert picture_paths(TextToImage(prompt), 7, None) == (Path(name),)


def test_a_prompt_that_no_picture_could_carry_is_refused() -> None:
    """The picture was written with it, and could not be read back."""
    TextToImage("x" * 1_000_000)
    with pytest.raises(OptionsError, match="a prompt has 80000000 characters"):
        TextToImage("x" * 80_000_000)
