"""The npm package's command: what it draws, how it ends, and what it leaves where it is stopped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.runtime.pictures import read_parameters
from amused_edge.runtime.tasks.parameters import PictureParameters
from tests.support.command import run
from tests.support.faults.short import try_some
from tests.support.faults.supervised import supported
from tests.support.paths import TINY_BUNDLE

NODE = shutil.which("node")
PROMPT = "a red fox on a blue background"
QUICKLY = ("generate", str(TINY_BUNDLE), "a fox", "--steps", "1")


def called(programs: Path, *arguments: str) -> list[str]:
    return [str(NODE), str(programs / "src" / "node" / "command.js"), *arguments]


def test_the_command_draws_what_it_is_asked_for(programs: Path, demo_bundle: Path, tmp_path: Path) -> None:
    given = [PROMPT, "--seed", "4", "--steps", "2", "--count", "2", "--negative", "blue", "--guidance", "2"]
    command = called(programs, "generate", str(demo_bundle), *given)
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    names = [f"a-red-fox-on-a-blue-background-4-{place}.png" for place in (0, 1)]
    assert done.stdout.split() == names
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    read = [PictureParameters.from_json(read_parameters(tmp_path / name)) for name in names]
    assert [(one.seed, one.task.picture, one.task.negative_prompt) for one in read] == [(4, 0, "blue"), (4, 1, "blue")]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ([], 2, "give a bundle and a prompt"),
        (["generate", "nowhere", "a"], 1, "nowhere is not a bundle"),
        (["generate", "{bundle}", "a", "--steps", "x"], 2, "--steps is x"),
        (["generate", "{bundle}", "a", "--steps", "0"], 2, "steps is 0"),
        (["generate", "{bundle}", "a", "--unknown"], 2, "--unknown"),
        (["generate", "{bundle}", "a", "-o", "taken.png"], 2, "taken.png exists"),
        (["generate", "{bundle}", "a", "-o", "a.jpg"], 2, "does not end in .png"),
        (["generate", "{bundle}", "a", "-o", "no/a.png"], 2, "folder no does not exist; create it first"),
        (["generate", "{bundle}", "a", "-o", "taken.png/a.png"], 2, "taken.png is a file, where a folder is needed"),
        (["generate", "{bundle}", "a", "--mask", "a.png"], 2, "need --image"),
        (["generate", "{bundle}", "a", "--image", "taken.png"], 2, "taken.png"),
        (["generate", "{bundle}", "a", "--image", "nowhere.png"], 2, "nowhere.png"),
        (["generate", "{bundle}", "--like", "taken.png"], 2, "cannot be read as a PNG"),
    ],
)
def test_what_cannot_be_is_one_line(
    given: list[str], code: int, said: str, programs: Path, demo_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken.png").write_bytes(b"no picture")
    arguments = [part.format(bundle=demo_bundle) for part in given]
    done = subprocess.run(called(programs, *arguments), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.startswith("amused-edge: ")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]
    if given:  # without, Python's command tells what there is
        assert run(*arguments, cwd=tmp_path).returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_results_that_cannot_be_printed_are_told_in_one_line(programs: Path, tmp_path: Path) -> None:
    command = called(programs, *QUICKLY, "-o", "a.png")
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("amused-edge: the results could not be printed: ENOSPC")
    assert len(done.stderr.splitlines()) == 1


def test_nobody_who_reads_is_no_error(programs: Path, tmp_path: Path) -> None:
    command = called(programs, *QUICKLY, "-o", "a.png")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")  # as Python's command, and as shells count


@pytest.mark.parametrize("name", ["fox.png", "é" * 120 + ".png"])
def test_what_a_killed_writer_left_goes_with_the_next(name: str, programs: Path, tmp_path: Path) -> None:
    """Named as Python names it, of which each clears what the other left; what a living process or another host writes
    stays.
    """
    leave = "import sys; from pathlib import Path; from amused_edge.runtime.system.unfinished import unfinished; "
    leave += "left = unfinished(Path(sys.argv[1])); left.touch(); print(left)"
    left = subprocess.run(
        [sys.executable, "-c", leave, name], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    before, process, end = left.rsplit("-", 2)
    alive, elsewhere = f"{before}-{os.getpid()}-{end}", f"{before}x-{process}-{end}"
    for other in (alive, elsewhere):
        (tmp_path / other).touch()
    subprocess.run(called(programs, *QUICKLY, "-q", "-o", name), cwd=tmp_path, check=True)
    assert {path.name for path in tmp_path.iterdir()} == {name, alive, elsewhere}


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "nowhere.png"])
def test_a_name_that_cannot_be_written_is_told_before_anything_is_drawn(
    name: str, programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "nowhere.png").symlink_to("gone")
    command = called(programs, "generate", "no bundle", "a", "-o", name)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"amused-edge: {name[:99]}")  # a long one is cut
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(bool(supported()), reason=supported() or "-")
def test_calls_that_fail_and_kills(programs: Path, tmp_path: Path) -> None:
    """Some of what `make faults` tries."""
    assert (programs / "src" / "node" / "command.js").exists()
    try_some("npm, generate", tmp_path, sample=4)
