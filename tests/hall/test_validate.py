"""`amused-edge validate`: one report of the whole chain, and what it says when a part fails."""

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from amused_edge import validation
from amused_edge.cli import main
from amused_edge.cli.program import commands
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import AmusedEdgeError
from tests.support.validated import Validated

RECIPES = ("fp16", "w8", "w8a8", "w4")


def row_of(page: str, heading: str, name: str) -> list[str]:
    """Return the cells of a row of the table under a heading."""
    section = page.split(f"## {heading}")[1].split("\n## ", maxsplit=1)[0]
    (line,) = [line for line in section.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def page(validated: Validated) -> str:
    return (validated.out / "report.md").read_text(encoding="utf-8")


def test_it_succeeds_and_names_the_report(validated: Validated) -> None:
    assert validated.result.returncode == 0, validated.result.stderr
    assert validated.result.stdout.splitlines() == [str(Path("out") / "report.md")]
    assert "Traceback" not in validated.result.stderr


def test_what_it_makes(validated: Validated) -> None:
    accounts = {f"{recipe}.account.{kind}" for recipe in RECIPES for kind in ("json", "md")}
    assert {path.name for path in validated.out.iterdir()} == {"fp32", *RECIPES, *accounts, "report.md", "report.json"}
    for recipe in RECIPES:
        made = Bundle.open(validated.out / recipe).manifest.quantization
        assert made is not None
        assert made.recipe["name"] == recipe
        assert made.logits.generations == 1


def test_the_report_says_that_recipes_are_unproven(page: str) -> None:
    """Nothing that was tried here tells how a recipe behaves on weights that nobody tried."""
    assert "On weights that nobody has tried they are unproven" in " ".join(page.split())


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_report_has_a_recipes_size_and_fidelity(validated: Validated, page: str, recipe: str) -> None:
    folder = validated.out / recipe
    sizes = row_of(page, "Size of the graphs", recipe)
    total, whole = (
        sum(path.stat().st_size for path in where.iterdir() if path.name not in ("manifest.json", "README.md"))
        for where in (folder, validated.bundle)
    )
    assert float(sizes[-1]) == pytest.approx(total / whole, abs=6e-4)
    denoiser = sum((folder / f"denoiser.onnx{end}").stat().st_size for end in ("", ".data"))
    assert float(sizes[3]) == pytest.approx(denoiser / 1e6, abs=0.06)
    made = Bundle.open(folder).manifest.quantization
    assert made is not None
    cells = row_of(page, "Recipes against the exported bundle", recipe)
    assert float(cells[2]) == pytest.approx(made.logits.mean_kl, rel=0.01)
    assert float(cells[7].rstrip("%")) == pytest.approx(100 * made.logits.equal_draws, abs=0.01)


def test_the_report_has_the_exports_parity(validated: Validated, page: str) -> None:
    parity = Bundle.open(validated.bundle).manifest.parity
    assert parity is not None
    cells = row_of(page, "Export against the checkpoint", "fp32")
    assert float(cells[2]) == pytest.approx(parity.logits.mean_kl, rel=0.01)


def test_the_same_as_data(validated: Validated) -> None:
    content = json.loads((validated.out / "report.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert content["failures"] == {}
    assert list(content["bundles"]) == ["fp32", *RECIPES]
    for name, manifest in content["bundles"].items():
        assert manifest == json.loads((validated.out / name / "manifest.json").read_text(encoding="utf-8"))


# --- Failures. The export was shown above; here a copy of its bundle stands in for it.


@pytest.fixture
def exported(validated: Validated, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(source: str, out: Path, *_: Any, **__: Any) -> Bundle:
        shutil.copytree(validated.bundle, out)
        return Bundle.open(out)

    monkeypatch.setattr(validation, "export_bundle", export)


def write_recipe(path: Path, name: str, tensors: str = "denoiser/mlm_layer.*") -> str:
    rule = {"tensors": tensors, "operator": "matmul", "bits": 8, "block": 32}
    path.write_text(json.dumps({"name": name, "rules": [rule]}), encoding="utf-8")
    return str(path)


def validate(out: Path, *recipes: str, more: tuple[str, ...] = ()) -> Result:
    chosen = [part for recipe in recipes for part in ("--recipe", recipe)]
    return CliRunner().invoke(commands, ["validate", "tiny", str(out), *chosen, "--fidelity-prompts", "1", *more])


@pytest.mark.usefixtures("exported")
def test_a_recipe_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    bad = write_recipe(tmp_path / "mine.json", "mine", "denoiser/typo.*")
    result = validate(tmp_path / "out", bad, "w8")
    reason = "recipe 'mine': the pattern 'denoiser/typo.*' matches no weight"
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [str(tmp_path / "out" / "report.md")]
    assert result.stderr.startswith(f"amused-edge: recipe mine failed: {reason}")
    assert result.stderr.count("\n") == 1
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"- mine: {reason}" in page.split("## Failed")[1]
    assert row_of(page, "Recipes against the exported bundle", "w8")
    content = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert list(content["bundles"]) == ["fp32", "w8"]
    assert content["failures"]["mine"].startswith(reason)
    assert not list((tmp_path / "out").glob("*mine*"))


@pytest.mark.usefixtures("exported")
def test_a_recipe_of_the_users_is_in_the_report(tmp_path: Path) -> None:
    result = validate(tmp_path / "out", write_recipe(tmp_path / "file.json", "mine"), more=("--quiet",))
    assert (result.exit_code, result.output) == (0, "")
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert row_of(page, "Recipes against the exported bundle", "mine")
    assert "## Failed" not in page


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("name", ["../escaped", "a/b", "", ".", "fp32", "report.md"])
def test_a_recipes_name_is_no_path(tmp_path: Path, name: str) -> None:
    """It becomes a folder beside the exported bundle: nothing may be written elsewhere, or over anything."""
    recipe = write_recipe(tmp_path / "mine.json", name)
    result = validate(tmp_path / "place" / "out", recipe)
    assert result.exit_code != 0
    assert isinstance(result.exception, AmusedEdgeError | SystemExit)
    place = tmp_path / "place"
    assert not place.exists() or {path.name for path in place.iterdir()} == {"out"}
    assert not (place / "out" / "a").exists()


@pytest.mark.usefixtures("exported")
def test_one_recipe_twice(tmp_path: Path) -> None:
    """Whatever is said of the second, the first must not be called failed and made at once."""
    result = validate(tmp_path / "out", "w8", "w8")
    report = tmp_path / "out" / "report.json"
    content = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"bundles": {}, "failures": {}}
    assert not content["bundles"].keys() & content["failures"].keys()
    assert result.exit_code == 0 or "w8" in f"{result.stderr}{result.exception}"


@pytest.mark.usefixtures("exported")
def test_an_output_that_exists(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = validate(tmp_path / "out", "w8")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "out exists; choose another folder" in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["folder", "out"], 1, ["model_index.json", "diffusers layout"]),
        (["folder", "out", "--recipe", "w3"], 2, ["there is no recipe 'w3'", "w8a8-blocks"]),
        (["folder", "out", "--recipe", "w8.json"], 2, ["cannot read the recipe w8.json"]),
        (["folder", "folder"], 2, ["folder exists"]),
        (["folder", "out", "--prompts", "no.txt"], 2, ["cannot read the prompts no.txt"]),
        (["folder", "out", "--fidelity-prompts", "0"], 2, ["fidelity_prompts is 0"]),
        (["folder", "out", "--variant", "int8"], 2, ["fp16"]),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    """In this process, which has imported torch already."""
    place = tmp_path / "place"
    (place / "folder").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["amused-edge", "validate", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    assert stopped.value.code == code
    assert printed.out == ""
    assert "Traceback" not in printed.err
    if "--variant" not in arguments:  # click shows its usage
        assert printed.err.startswith("amused-edge: ")
        assert printed.err.count("\n") == 1
    assert all(word in printed.err for word in words), printed.err
    assert [path.name for path in place.rglob("*")] == ["folder"]


def test_what_validate_makes_is_what_quantize_makes(validated: Validated, tmp_path: Path) -> None:
    options = QuantizeOptions(("a fox", "a panda"), calibration_prompts=1, fidelity_prompts=1)
    made = quantize_bundle(validated.bundle, tmp_path / "w8a8", "w8a8", options)
    assert made.manifest == Bundle.open(validated.out / "w8a8").manifest
