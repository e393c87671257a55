"""The kit in the repository: what its schemas say, and what this runtime gives today."""

import json

import jsonschema
import pytest

from amused_edge.conformance.all_sets import all_sets
from amused_edge.conformance.files import read, text_of, vector_file
from amused_edge.conformance.vector_set import differences
from tests.support.paths import ROOT

KIT = ROOT / "conformance"
SETS = {one.name: one for one in all_sets(ROOT / "demo" / "bundle")}
each_set = pytest.mark.parametrize("name", SETS)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_there_is_a_file_and_a_schema_for_each_set_and_nothing_else() -> None:
    assert sorted(path.name for path in (KIT / "vectors").iterdir()) == sorted(f"{name}.json" for name in SETS)
    assert sorted(path.name for path in (KIT / "schemas").iterdir()) == sorted(f"{name}.schema.json" for name in SETS)


def test_the_kit_is_small() -> None:
    assert sum(path.stat().st_size for path in KIT.rglob("*.json")) < 1_500_000


@each_set
def test_a_file_is_what_its_schema_says(name: str) -> None:
    schema = json.loads((KIT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    text = vector_file(KIT, name).read_bytes().decode("ascii")
    jsonschema.validate(json.loads(text, parse_constant=refuse), schema)


@each_set
def test_a_file_is_what_the_runtime_gives_today(name: str) -> None:
    """`make conformance` makes it anew. Logarithms may differ in their last bits from one CPU to another."""
    one, kept = SETS[name], read(vector_file(KIT, name))
    made = json.loads(text_of(one.make()))
    assert differences(kept, made, {**one.tolerance}) == []
