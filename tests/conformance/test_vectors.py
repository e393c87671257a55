"""The kit in the repository: what its schemas say, and what this runtime gives today."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from amused_edge.conformance.all_sets import all_sets
from amused_edge.conformance.files import read, text_of, vector_file
from amused_edge.conformance.sets.drawn import DrawnSet
from amused_edge.conformance.vector_set import differences
from tests.support.paths import ROOT

KIT = ROOT / "conformance"
SETS = {one.name: one for one in all_sets(ROOT / "demo" / "bundle", ROOT / "build")}
DRAWN = {name: one for name, one in SETS.items() if isinstance(one, DrawnSet)}
COMPUTED = [name for name in SETS if name not in DRAWN]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_there_is_a_file_and_a_schema_for_each_set_and_nothing_else() -> None:
    assert sorted(path.name for path in (KIT / "vectors").iterdir()) == sorted(f"{name}.json" for name in SETS)
    assert sorted(path.name for path in (KIT / "schemas").iterdir()) == sorted(f"{name}.schema.json" for name in SETS)


def test_the_kit_is_small() -> None:
    assert sum(path.stat().st_size for path in KIT.rglob("*.json")) < 1_500_000


@pytest.mark.parametrize("name", SETS)
def test_a_file_is_what_its_schema_says(name: str) -> None:
    """And JSON for every language: ASCII, no NaN, no whole number that a double cannot hold."""
    schema = json.loads((KIT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    text = vector_file(KIT, name).read_bytes().decode("ascii")
    jsonschema.validate(json.loads(text, parse_constant=refuse), schema)
    large: list[str] = []
    json.loads(text, parse_int=lambda digits: large.append(digits) if abs(int(digits)) > 2**53 else int(digits))
    assert large == []


@pytest.mark.parametrize("name", COMPUTED)
def test_a_file_is_what_the_runtime_gives_today(name: str) -> None:
    """`make conformance` makes it anew. Logarithms may differ in their last bits from one CPU to another."""
    one = SETS[name]
    made = json.loads(text_of(one.make()))
    assert differences(read(vector_file(KIT, name)), made, one.tolerance) == []


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_given_to_the_drawn_sets_is_what_their_files_give(name: str) -> None:
    """Their answers need bundles, which are made elsewhere; that a set was changed and not made anew shows here."""
    kept, one = read(vector_file(KIT, name)), DRAWN[name]
    assert [case["given"] for case in kept["cases"]] == json.loads(json.dumps(one.given()))
    far = {name: {"absolute": t.absolute, "relative": t.relative} for name, t in one.tolerance.items()}
    assert (kept["about"], kept["tolerance"]) == (one.about, far)


@pytest.mark.parametrize("name", DRAWN)
def test_the_steps_of_a_drawn_picture_follow_from_each_other(name: str) -> None:
    """Every masked position is drawn, kept ones are not drawn again, and nothing is masked at the end."""
    for case in read(vector_file(KIT, name))["cases"]:
        start, steps = case["expect"]["start"], case["expect"]["steps"]
        masked = {position for position, token in enumerate(start["tokens"]) if token == 319}
        assert [step["step"] for step in steps] == [*range(start["first_step"], start["first_step"] + len(steps))]
        for step in steps:
            assert {len(step[part]) for part in ("drawn", "draw_margins", "keep_margins")} == {len(masked)}
            assert set(step["kept"]) <= masked
            masked -= set(step["kept"])
        assert masked == set()


def test_the_demo_bundle_draws_the_pictures_of_w8() -> None:
    one = DRAWN["pictures-w8"]
    cases = read(vector_file(KIT, one.name))["cases"]
    assert [one.check(case)[0] for case in cases] == [[]] * len(cases)


def test_a_fresh_export_draws_the_pictures_of_fp32(demo_bundle: Path) -> None:
    one = replace(DRAWN["pictures-fp32"], bundle=demo_bundle)
    cases = read(vector_file(KIT, one.name))["cases"]
    assert [one.check(case)[0] for case in cases] == [[]] * len(cases)


def test_near_ties_are_told_from_faults() -> None:
    """Of a case whose first step the vectors tell otherwise: at a near-tie it passes, at a clear decision it fails."""
    one = DRAWN["pictures-w8"]
    case = read(vector_file(KIT, one.name))["cases"][4]
    assert one.check(case) == ([], 0)
    for margin, faults in ((20, 0), (21, 1)):
        other = copy.deepcopy(case)
        step = other["expect"]["steps"][-1]
        step["drawn"][0] ^= 1
        step["draw_margins"][0] = margin
        lines, near = one.check(other)
        assert (len([line for line in lines if "draws another token" in line]), near) == (faults, 1)


def test_another_bundle_does_not_draw_these_pictures() -> None:
    """The test of w8 can fail: by the vectors of another recipe it does, near-ties or not."""
    other = replace(DRAWN["pictures-w4"], bundle=ROOT / "demo" / "bundle")
    assert other.check(read(vector_file(KIT, other.name))["cases"][0])[0] != []
