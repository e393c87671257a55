"""`export --recipe`: export and quantization in one go."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from amused_edge import conversion
from amused_edge.runtime.bundle.folder import Bundle
from tests.support.in_process import Cli, one_line, usage
from tests.support.validated import Validated

FEW = ("--prompts", "prompts.txt", "--fidelity-prompts", "1")


def left() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_it_makes_what_two_commands_make(cli: Cli, validated: Validated) -> None:
    """Those of `validate`, which exports, then quantizes."""
    Path("prompts.txt").write_text("a fox\na panda\n", encoding="utf-8")
    result = cli("export", validated.checkpoint, "deep/made", "--recipe", "w8", *FEW)
    assert (result.code, result.err) == (0, ""), result
    assert result.out.startswith("deep/made: ")
    assert "against its parent: mean KL" in result.out
    made, expected = Bundle.open("deep/made").manifest, Bundle.open(validated.out / "w8").manifest
    assert made.graphs == expected.graphs  # with the hashes of all files
    assert made.quantization is not None
    assert expected.quantization is not None
    assert made.quantization.logits == expected.quantization.logits
    assert {path.name for path in Path("deep").iterdir()} == {"made", "made.account.json", "made.account.md"}


def test_a_recipe_that_fails_after_the_export_leaves_nothing(
    cli: Cli, validated: Validated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported(source: str, out: Path, *_: Any, **__: Any) -> Bundle:
        return Bundle.open(shutil.copytree(validated.bundle, out))

    monkeypatch.setattr(conversion, "export_bundle", exported)
    Path("odd.json").write_text(json.dumps({"name": "odd", "rules": [{"tensors": "denoiser/nowhere.*", "bits": 8}]}))
    one_line(cli("export", "checkpoint", "deep/made", "--recipe", "odd.json"), 2, "denoiser/nowhere.*")
    assert left() == {"odd.json"}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [("w9", ("no recipe 'w9'", "w8a8")), ("no.json", ("no.json",)), ("w8", ("made.account.md exists",))],
)
def test_what_is_found_before_the_export(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, recipe: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(conversion, "export_bundle", lambda *_, **__: pytest.fail("it has exported"))
    before = {"made.account.md"} if recipe == "w8" else set()
    for name in before:
        Path(name).write_text("mine", encoding="utf-8")
    one_line(cli("export", "checkpoint", "made", "--recipe", recipe), 2, *words)
    assert left() == before


@pytest.mark.parametrize("option", [("--prompts", "x"), ("--calibration-prompts", "2"), ("--fidelity-prompts", "2")])
def test_options_of_a_quantization_need_a_recipe(cli: Cli, option: tuple[str, str]) -> None:
    usage(cli("export", "checkpoint", "made", *option), "go with --recipe")
    assert left() == set()
