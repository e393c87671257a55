"""Consoles of other encodings, streams that take nothing, terminals that are none."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge import AmusedPipeline, GenerationOptions
from amused_edge.runtime.pictures import read_parameters, write_png
from amused_edge.runtime.system.library_paths import name_text
from tests.support.in_process import Cli
from tests.support.latency_run import ASCII_LOCALE, BUNDLE, LatencyRun

COMMAND = str(Path(sys.executable).parent / "amused-edge")
PLAIN = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUNBUFFERED")}
PROMPT = "a 猫 née \U0001f98a"
NAME = "a-猫-née-0.png"
SHORT = ("--steps", "1")


def run(*args: str | bytes | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, *args], cwd=cwd, env={**PLAIN, **environment}, capture_output=True, check=False
    )  # bytes: what reaches the console


@pytest.fixture(scope="module")
def picture(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture whose prompt has letters that few encodings have, and some that control a terminal."""
    path = tmp_path_factory.mktemp("picture") / "p.png"
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        (drawn,) = pipeline.pictures(PROMPT + "\u202e\x9b", GenerationOptions(steps=1))
    write_png(drawn.image, path, drawn.parameters.to_json())
    return path


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", NAME.encode()),
        ("cp1252", b"a-\\u732b-n\xe9e-0.png"),
        ("cp437:strict", b"a-\\u732b-n\x82e-0.png"),
        ("ascii", b"a-\\u732b-n\\xe9e-0.png"),
    ],
)
def test_the_name_of_a_picture_on_any_console(demo_bundle: Path, tmp_path: Path, encoding: str, shown: bytes) -> None:
    """The picture was drawn, then printing its name ended in a traceback."""
    result = run("generate", demo_bundle, PROMPT, *SHORT, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, [shown], b"")
    assert [path.name for path in tmp_path.glob("*.png")] == [NAME]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_the_parameters_of_a_picture_on_any_console(picture: Path, tmp_path: Path, encoding: str) -> None:
    """They are JSON, and equal, whatever the console; and nothing in them controls it."""
    result = run("inspect", picture, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert (result.returncode, result.stderr) == (0, b"")
    text = result.stdout.decode(encoding)
    assert json.loads(text) == json.loads(read_parameters(picture))
    assert text.replace("\n", "").isprintable()
    assert ("猫" in text) == (encoding == "utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_errors_notes_and_help_on_any_console(demo_bundle: Path, tmp_path: Path, encoding: str) -> None:
    error = run("generate", demo_bundle, "x", "-o", "猫.jpg", cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert error.returncode == 2
    assert error.stderr.startswith(b"amused-edge: \\u732b.jpg does not end in .png")
    usage = run("generate", demo_bundle, "x", "--steps", "猫", cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert usage.returncode == 2
    assert b"'\\u732b' is not a valid int" in usage.stderr
    note = run("generate", demo_bundle, "猫 " * 99, "-o", "n.png", *SHORT, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert note.returncode == 0
    assert b"cut off: '\\u732b" in note.stderr
    for command in ([], ["generate"], ["export"], ["bench", "latency"]):
        assert run(*command, "--help", cwd=tmp_path, PYTHONIOENCODING=encoding).returncode == 0


def test_text_is_utf_8_in_a_locale_without_letters(demo_bundle: Path, tmp_path: Path) -> None:
    """A valid prompt was said to be no valid Unicode; its bytes are UTF-8, as a terminal sends them."""
    args = (PROMPT.encode(), "--negative", "né".encode(), *SHORT)
    result = run("generate", demo_bundle, *args, cwd=tmp_path, **ASCII_LOCALE)
    assert (result.returncode, result.stdout, result.stderr) == (0, NAME.encode() + b"\n", b"")
    task = json.loads(read_parameters(tmp_path / NAME))["task"]
    assert (task["prompt"], task["negative_prompt"]) == (PROMPT, "né")
    bad = run("generate", demo_bundle, b"caf\xe9", *SHORT, cwd=tmp_path, **ASCII_LOCALE)
    assert bad.returncode == 2
    assert b"is not valid Unicode" in bad.stderr


def test_a_bundle_is_found_by_its_bytes(demo_bundle: Path, tmp_path: Path) -> None:
    """The tokenizer and the engine write names as UTF-8, where Python keeps the bytes of a name in surrogates."""
    (tmp_path / "bündel").symlink_to(demo_bundle)
    result = run("generate", "bündel".encode(), "x", "-o", "é.png".encode(), *SHORT, cwd=tmp_path, **ASCII_LOCALE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "é.png\n".encode(), b"")
    assert (tmp_path / "é.png").exists()


@pytest.mark.slow
def test_names_are_written_down_as_text(latency_run: LatencyRun) -> None:
    """A benchmark ended in a traceback at the first record, which has the names of the bundles; and no progress is
    drawn where there is no terminal.
    """
    result = latency_run.result
    assert (result.returncode, result.stdout, result.stderr) == (0, "é/report.html\n".encode(), b"")
    assert BUNDLE in (latency_run.out / "report.md").read_text(encoding="utf-8")
    assert name_text(Path(os.fsdecode(b"a/b\xff"))) == "b\ufffd"


@pytest.mark.skipif(sys.platform == "darwin", reason="names of files are UTF-8 there")
def test_a_name_that_is_no_utf_8(demo_bundle: Path, tmp_path: Path) -> None:
    """Of a picture it is kept and printed; of a bundle it is refused before the work, for no engine opens it."""
    result = run("generate", demo_bundle, "x", "-o", b"\xff.png", *SHORT, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"\xff.png\n", b"")
    assert b"\xff.png" in os.listdir(os.fsencode(tmp_path))
    (tmp_path / os.fsdecode(b"b\xff")).symlink_to(demo_bundle)
    for args in (["generate", b"b\xff", "x"], ["quantize", demo_bundle, b"o\xff", "--recipe", "w8"]):
        refused = run(*args, cwd=tmp_path)
        assert refused.returncode == 2
        assert b"\\udcff" in refused.stderr
        assert b"rename it" in refused.stderr
        assert refused.stderr.count(b"\n") == 1


# --- streams that take nothing; buffered, the fault comes when the program ends, and else at once.

BUFFERING = pytest.mark.parametrize("buffering", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])


@BUFFERING
@pytest.mark.parametrize(
    "command", ["generate", "inspect", "--help", "--version", "cache --help", "bench latency --help"]
)
def test_nobody_reads_the_results(demo_bundle: Path, tmp_path: Path, buffering: dict[str, str], command: str) -> None:
    """As behind `| head -1`: quiet, with the exit code of a program that SIGPIPE ends; the work is done."""
    args = {"generate": ["generate", str(demo_bundle), "x", *SHORT], "inspect": ["inspect", str(demo_bundle)]}
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [COMMAND, *args.get(command, command.split())],
        cwd=tmp_path,
        env=PLAIN | buffering,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")
    assert (tmp_path / "x-0.png").exists() == (command == "generate")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@BUFFERING
@pytest.mark.parametrize(
    "command", ["generate", "inspect", "--help", "--version", "cache --help", "bench latency --help"]
)
def test_no_room_for_the_results(demo_bundle: Path, tmp_path: Path, buffering: dict[str, str], command: str) -> None:
    args = {"generate": ["generate", str(demo_bundle), "x", *SHORT], "inspect": ["inspect", str(demo_bundle)]}
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [COMMAND, *args.get(command, command.split())],
            cwd=tmp_path,
            env=PLAIN | buffering,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("amused-edge: the results could not be printed: ")
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "x-0.png").exists() == (command == "generate")


@pytest.mark.parametrize(("args", "code"), [((), 0), (("--steps", "0"), 2), (("--steps", "x"), 2)])
def test_closed_streams(demo_bundle: Path, tmp_path: Path, args: tuple[str, ...], code: int) -> None:
    """The exit code tells all; and no file that is written gets the number of a stream."""
    shell = 'exec "$0" "$@" <&- >&- 2>&-'
    command = ["sh", "-c", shell, COMMAND, "generate", str(demo_bundle), "x", *SHORT, "-o", "x.png", *args]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == code
    assert [path.name for path in tmp_path.glob("*.png")] == (["x.png"] if code == 0 else [])


# --- progress


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_progress_is_for_terminals_alone(demo_bundle: Path, tmp_path: Path, name: str) -> None:
    """These variables ask for colours where there is no terminal; the bar's cursor codes filled a log."""
    result = run("generate", demo_bundle, "x", *SHORT, cwd=tmp_path, **{name: "1"})
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
@pytest.mark.parametrize(
    ("environment", "moves"),
    [({}, True), ({"TERM": "dumb"}, False), ({"TTY_INTERACTIVE": "0"}, False), ({"NO_COLOR": "1"}, True)],
    ids=str,
)
def test_progress_on_a_terminal(demo_bundle: Path, tmp_path: Path, environment: dict[str, str], moves: bool) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "generate", str(demo_bundle), "x", *SHORT],
        cwd=tmp_path,
        env=PLAIN | {"TERM": "xterm"} | environment,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    written = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        written += part
    os.close(master)
    assert process.wait() == 0
    assert (b"\x1b[2K" in written) == moves
    if environment.get("NO_COLOR"):
        assert b"\x1b[3" not in written
    if not moves:
        assert written == b""


def test_a_description_is_no_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a bundle such as [/x] ended a benchmark, and control characters reached the terminal."""
    from amused_edge.cli.progress import progress

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress(quiet=False) as report:
        report("bundle [/x]\x1b]0;title\x07\nmore", 1, 2)
    shown = capsys.readouterr().err
    assert "bundle [/x]\\x1b]0;title\\x07 more" in shown
    assert "\x1b]0" not in shown


# --- wrong usage


@pytest.mark.parametrize(
    "args",
    [
        ("generate", "b", "x", "--steps", "{}"),
        ("generate", "b", "x", "--temperature", "{}"),
        ("generate", "b", "x", "--outpaint", "{}"),
        ("generate", "b", "x", "--{}"),
        ("export", "c", "o", "--target", "{}"),
        ("inspect", "b", "{}"),
        ("{}",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_short(cli: Cli, args: tuple[str, ...]) -> None:
    """A value of thousands of characters came through whole."""
    result = cli(*(arg.format("x\x1b[31m\u202e" + "x" * 5000) for arg in args))
    assert result.code == 2
    assert "Usage: " in result.err
    message = result.err.splitlines()[-1]
    assert message.startswith("Error: ")
    assert len(message) < 300
    assert message.isprintable()
