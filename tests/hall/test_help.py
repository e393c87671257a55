"""The command line's help, what it says first, its choices and what a shell completes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from amused_edge.cli.program import commands
from tests.support.command import COMMAND, run

NAMES = [
    *["generate", "video", "serve", "inspect", "cache", "export", "lora", "quantize", "validate"],
    *["card", "push", "fit"],
    *["bench latency", "bench quality", "bench compare", "bench device", "bench import"],
]


def command(name: str) -> click.Command:
    found: click.Command = commands
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


def shown(*args: str) -> list[str]:
    result = CliRunner().invoke(commands, [*args, "--help"], prog_name="amused-edge")  # in 80 columns
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def headings(lines: list[str]) -> list[str]:
    return [line.removesuffix(":") for line in lines if re.fullmatch(r"[A-Z][^:]*:", line)]


def test_the_list_of_commands_is_whole() -> None:
    leaves = [name for name, each in commands.commands.items() if not isinstance(each, click.Group)]
    leaves += [f"bench {name}" for name in command("bench").commands]  # type: ignore[attr-defined]
    assert sorted(leaves) == sorted(NAMES)


@pytest.mark.parametrize("name", ["", "bench", *NAMES])
def test_help_fits_80_columns(name: str) -> None:
    assert max(map(len, shown(*name.split()))) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_help_ends_with_two_examples_that_can_be_called(name: str) -> None:
    lines = shown(*name.split())
    examples = lines[lines.index("Examples:") + 1 :]
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example)
        assert words[: 1 + len(name.split())] == ["amused-edge", *name.split()]
        command(name).make_context(name, words[1 + len(name.split()) :])


def test_options_of_generate_are_in_groups() -> None:
    """They were one list of 74 lines."""
    assert headings(shown("generate")) == [
        *["Pictures and output", "Starting picture", "Sampler", "Conditioning", "Going on", "Engine", "Cluster"],
        *["Other options", "Examples"],
    ]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("serve", "inspect", "cache", "card", "fit", "bench import")]
)
def test_only_quiet_and_help_have_no_group(name: str) -> None:
    lines = shown(*name.split())
    others = lines[lines.index("Other options:") + 1 : lines.index("Examples:") - 1]
    assert [line.split()[0] for line in others] == ["-q,", "-h,"]


def test_commands_are_in_groups_and_no_line_is_cut() -> None:
    lines = shown()
    assert headings(lines) == ["Options", "Draw", "Make", "Share", "Measure"]
    assert not [line for line in lines[1:] if line.endswith("...")]


def test_nothing_asked_for_says_what_to_do_first(tmp_path: Path) -> None:
    """It showed the list of all commands."""
    result = run(cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    for words in ("amused-edge generate BUNDLE", "amused-edge export", "amused-edge quantize", "amused-edge --help"):
        assert words in result.stderr
    assert max(map(len, result.stderr.splitlines())) < 80


@pytest.mark.parametrize(
    ("name", "option", "choices"),
    [
        ("generate", "--fit", ["crop", "pad", "stretch", "exact"]),
        ("generate", "--coverage", ["half", "any"]),
        ("generate", "--schedule", ["cosine", "linear"]),
        ("generate", "--guidance-ramp", ["constant", "linear", "cosine"]),
        ("generate", "--order", ["confidence", "halton", "moment"]),
        ("generate", "--simulate", ["half", "float"]),
        ("export", "--schedule", ["cosine", "linear"]),
        ("export", "--target", ["onnx", "coreml", "coreai"]),
        ("export", "--optimize", ["portable", "cpu"]),
        ("export", "--ios", ["16", "17", "18"]),
        ("export", "--precision", ["float16", "float32"]),
        ("bench quality", "--schedule", ["cosine", "linear"]),
    ],
)
def test_choices_are_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, option: str, choices: list[str]
) -> None:
    """They were free text, read only when the bundle was open or libraries were loaded."""
    monkeypatch.chdir(tmp_path)
    assert f"{option} [{'|'.join(choices)}]" in "\n".join(shown(*name.split()))
    result = CliRunner().invoke(commands, [*name.split(), "no-bundle", "x", option, "cubic"])
    assert (result.exit_code, result.stdout) == (2, "")
    message = result.stderr.splitlines()[-1]
    assert message.startswith(f"Error: Invalid value for '{option}': 'cubic' is not one of ")
    assert all(f"'{choice}'" in message for choice in choices)
    assert list(tmp_path.iterdir()) == []


def complete(words: str, cwd: Path) -> list[str]:
    """Return what a shell offers for the last word of a line."""
    asked = {"_AMUSED_EDGE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = subprocess.run(COMMAND, cwd=cwd, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return [line.partition(",")[2] for line in result.stdout.splitlines()]


def test_a_shell_completes_commands_options_and_choices(tmp_path: Path) -> None:
    assert complete("amused-edge ge", tmp_path) == ["generate"]
    assert complete("amused-edge generate b x --guidance-r", tmp_path) == ["--guidance-ramp"]
    assert complete("amused-edge generate b x --fit ", tmp_path) == ["crop", "pad", "stretch", "exact"]
    assert complete("amused-edge export c o --ios ", tmp_path) == ["16", "17", "18"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(tmp_path: Path, shell: str) -> None:
    environment = os.environ | {"_AMUSED_EDGE_COMPLETE": f"{shell}_source"}
    result = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert f"_AMUSED_EDGE_COMPLETE={shell}_complete" in result.stdout


def test_help_loads_no_engine_and_no_library_of_an_extra(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom amused_edge.cli.program import commands\n"
        "commands(['generate', '--help'], standalone_mode=False)\nprint(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    heavy = {
        "onnxruntime",
        "torch",
        "transformers",
        "onnx",
        "coremltools",
        "matplotlib",
        "rich",
        "jinja2",
        "psutil",
        "ray",
    }
    assert not heavy & set(result.stderr.split())
