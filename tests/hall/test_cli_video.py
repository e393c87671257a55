"""`video`: its files, going on, drawing again; what it refuses, before any work is done."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amused_edge.cli import main
from amused_edge.runtime import AmusedPipeline, ClipState, OptionsError
from amused_edge.runtime.pictures import read_parameters
from amused_edge.runtime.pictures.clips import write_clip
from tests.support.paths import COMMAND, ROOT

BUNDLE = str(ROOT / "demo" / "bundle")
QUICK = ("--steps", "2", "--frames", "3", "--threads", "1")


def call(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr("sys.argv", ["amused-edge", "video", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "cache"}


def test_an_interrupted_clip_goes_on_and_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = ("a fox", *QUICK, "--pan", "up", "--refresh", "0.1,0.3")
    assert call(monkeypatch, BUNDLE, *task, "-o", "whole.png", "--frames-out", ".") == 0
    save, saved = ClipState.save, []

    def interrupt(state: ClipState, path: Path) -> None:
        save(state, path)
        saved.append(state.place.frame)
        if len(saved) == 3:
            raise SystemExit(130)

    (tmp_path / "frames").mkdir()
    going_on = (*task, "-o", "other.png", "--frames-out", "frames", "--resume", "state.json")
    with monkeypatch.context() as patch:
        patch.setattr(ClipState, "save", interrupt)
        assert call(monkeypatch, BUNDLE, *going_on) == 130
    whole = {"whole.png", *(f"whole-{frame}.png" for frame in range(3))}
    assert names(tmp_path) == whole | {"frames", "state.json"}
    assert call(monkeypatch, BUNDLE, *going_on[1:], "a bear") == 2  # its state is of a fox
    assert call(monkeypatch, BUNDLE, *going_on) == 0
    assert names(tmp_path) == whole | {"frames", "other.png"}
    assert saved == [0, 0, 1]
    assert Path("other.png").read_bytes() == Path("whole.png").read_bytes()
    for frame in range(3):
        assert Path(f"frames/other-{frame}.png").read_bytes() == Path(f"whole-{frame}.png").read_bytes()
    assert '"frame": 0' in read_parameters(Path("whole.png"))
    for like in ("whole.png", "whole-2.png"):
        assert call(monkeypatch, BUNDLE, "--like", like, "-o", f"again-{like}") == 0
        assert Path(f"again-{like}").read_bytes() == Path("whole.png").read_bytes()
    command = [str(COMMAND), "generate", BUNDLE, "--like", "whole-2.png", "-o", "still.png"]
    still = subprocess.run(command, capture_output=True, text=True, check=False)
    assert still.returncode == 2
    assert "whole-2.png is a frame of a clip; `amused-edge video --like` draws it again" in still.stderr
    assert not Path("still.png").exists()


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png", ".mp4"])
def test_what_ended_before_its_state_was_removed_ends_well(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused, because the clip is there; another one still is, and nothing is lost."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    clip, state = tmp_path / f"c{suffix}", tmp_path / "c.json"
    command = (BUNDLE, "a fox", *QUICK, "-o", clip.name, "--frames-out", "frames", "--resume", state.name)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path, **_: sys.exit(137) if path.name == state.name else os.unlink(path))
        assert call(monkeypatch, *command) == 137
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "frames" / f".c-0.png.partial-{socket.gethostname()}-{gone.pid}-0").touch()
    content = clip.read_bytes()
    clip.write_bytes(b"another")
    assert call(monkeypatch, *command) == 2
    assert (clip.read_bytes(), state.exists()) == (b"another", True)
    clip.write_bytes(content)
    assert call(monkeypatch, *command, "--fps", "3") == 2
    assert call(monkeypatch, *command) == 0
    assert names(tmp_path) == {"frames", clip.name}
    assert names(tmp_path / "frames") == {f"c-{frame}.png" for frame in range(3)}
    assert clip.read_bytes() == content


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png", ".mp4"])
def test_every_kind_of_file_has_the_frames(suffix: str, tmp_path: Path) -> None:
    """Of an odd size, too. Colours that differ much stay near."""
    frames = [np.full((15, 21, 3), colour, np.uint8) for colour in ((200, 40, 40), (40, 200, 40), (40, 40, 200))]
    path = tmp_path / f"clip{suffix}"
    write_clip(iter(frames), path, 8)
    if suffix == ".mp4":
        import av

        with av.open(path) as container:
            found = [frame.to_ndarray(format="rgb24")[:15, :21] for frame in container.decode(video=0)]
            assert container.streams.video[0].average_rate == 8
    else:
        with Image.open(path) as image:
            assert image.info["loop"] == 0
            found = []
            for number in range(image.n_frames):  # type: ignore[attr-defined]
                image.seek(number)
                found.append(np.asarray(image.convert("RGB")))
                assert image.info["duration"] == pytest.approx(125, abs=5)
    assert len(found) == 3
    for frame, expected in zip(found, frames, strict=True):
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).max() < 24
    with pytest.raises(FileExistsError):
        write_clip(frames, path, 8)


def test_a_clip_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield np.zeros((8, 8, 3), np.uint8)
        raise OptionsError("broken")

    for name in ("a.webp", "a.mp4"):
        with pytest.raises(OptionsError, match="broken"):
            write_clip(broken(), tmp_path / name, 8)  # type: ignore[arg-type]
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("x", "-o", "clip.avi"), "clip.avi is no name of a clip; let it end in .webp, .gif, .png, .mp4"),
        (("x", "-o", "taken.webp"), "taken.webp exists"),
        (("x", "-o", "nowhere/clip.webp"), "folder nowhere does not exist"),
        (("x", "--frames-out", "nowhere"), "folder nowhere does not exist"),
        (("x", "-o", "c.webp", "--resume", "c.webp"), "give the state a name of its own"),
        (("x", "--frames", "1"), "frames is 1"),
        (("x", "--fps", "0"), "fps is 0"),
        (("x", "--motion", "3,0"), "between -1 and 1"),
        (("x", "--motion", "3"), "is not X,Y"),
        (("x", "--motion", "0,0", "--pan", "left"), "give --motion or --pan, not both"),
        (("x", "--motion-field", "nowhere.csv"), "cannot read the motions nowhere.csv"),
        (("x", "--zoom", "in", "--loop"), "does not lead back"),
        (("x", "--motion", "0.01,0", "--loop"), "come to 0.08 of the picture in x"),
        (("x", "--refresh", "2"), "refresh is 2"),
        (("x", "--strength", "0.5"), "--strength does not belong to text to image"),
        (("x", "--image", "nowhere.png"), "nowhere.png does not exist"),
        (("x", "--like", "taken.webp"), "give prompts or --like, not both"),
        (("--like", "taken.webp"), "cannot be read as a PNG"),
        ((), "give a PROMPT or --like"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    args: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.webp").touch()

    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(AmusedPipeline, "from_bundle", work)
    assert call(monkeypatch, BUNDLE, *args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err.splitlines()[-1]
    assert names(tmp_path) == {"taken.webp"}
