"""`golden.json` beside its text by hand, and the fields that it, manifests and states are read with."""

import json
from typing import Any

import pytest

from amused_edge.runtime.bundle.golden import Golden, Tolerance
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import BundleError

PLAIN = {
    "prompt": "ein Füchslein 🦊",
    "input_ids": [49406, 0],
    "logits": [1.5, -0.25],
    "tokens": [3, 4],
    "pixels": [0, 255],
    "tolerance": {"logits": 0.5, "pixels": 3},
}
GOLDEN = Golden("ein Füchslein 🦊", [49406, 0], [1.5, -0.25], [3, 4], [0, 255], Tolerance(0.5, 3))


class _RefusedError(Exception):
    pass


def test_its_text() -> None:
    text = json.dumps(PLAIN, ensure_ascii=False) + "\n"
    assert GOLDEN.to_json() == text
    assert Golden.from_json(text) == GOLDEN
    assert Tolerance() == Tolerance(1e-3, 1)


@pytest.mark.parametrize("text", ["", "[" * 100_000])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(BundleError, match=r"golden\.json is not JSON \(.*\); copy the bundle again"):
        Golden.from_json(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": 5}, "'prompt' is 5, not a str"),
        ({"input_ids": [1.0]}, "'input_ids' is 1.0, not a int"),
        ({"logits": ["1"]}, "'logits' is '1', not a float"),
        ({"tokens": [True]}, "'tokens' is True, not a int"),
        ({"pixels": 5}, "'pixels' is 5, not a list"),
        ({"tolerance": {"logits": 1e-3}}, "golden.json: tolerance lacks 'pixels'"),
        ({"tolerance": {"logits": "0", "pixels": 1}}, "golden.json: tolerance: 'logits' is '0', not a float"),
    ],
)
def test_damaged_fields(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleError) as said:
        Golden.from_json(json.dumps(PLAIN | change))
    assert says in str(said.value)
    assert str(said.value).endswith("; the bundle is damaged, make it again")


def test_fields_of_every_kind() -> None:
    fields = Fields({"whole": 2, "real": 0.5, "list": [1, 2.5], "inner": {"a": {"n": 1}, "b": {"n": 2}}}, "x")
    assert list(fields) == ["whole", "real", "list", "inner"]
    assert "whole" in fields
    assert (fields.get("whole", int), fields.get("real", float)) == (2, 0.5)
    assert type(fields.get("whole", float)) is float
    assert [type(value) for value in fields.values("list", float)] == [float, float]
    assert fields.values("list", float) == [1.0, 2.5]
    assert fields.raw("list") == [1, 2.5]
    assert fields.child("inner").child("a").get("n", int) == 1
    assert fields.table("inner", lambda each: each.get("n", int)) == {"a": 1, "b": 2}
    assert Fields({"all": [{"n": 3}, {"n": 4}]}, "x").items("all", lambda each: each.get("n", int)) == (3, 4)


READ: Any = lambda each: each.get("n", int)  # noqa: E731


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda f: f.get("none", int), "x lacks 'none'; mend it"),
        (lambda f: f.get("text", int), "x: 'text' is 'a', not a int; mend it"),
        (lambda f: f.get("yes", int), "x: 'yes' is True, not a int; mend it"),
        (lambda f: f.get("yes", float), "x: 'yes' is True, not a float; mend it"),
        (lambda f: f.get("real", int), "x: 'real' is 0.5, not a int; mend it"),
        (lambda f: f.child("text"), "x: 'text' is 'a', not a dict; mend it"),
        (lambda f: f.child("inner").get("m", int), "x: inner lacks 'm'; mend it"),
        (lambda f: f.values("list", str), "x: 'list' is {'n': 'a'}, not a str; mend it"),
        (lambda f: f.items("list", READ), "x: list[0]: 'n' is 'a', not a int; mend it"),
        (lambda f: f.items("inner", READ), "x: 'inner' is {'n': 1}, not a list; mend it"),
        (lambda f: f.table("deep", READ), "x: deep.k: 'n' is None, not a int; mend it"),
        (lambda f: f.table("inner", READ), "x: inner.n is not a JSON object; mend it"),
        (lambda f: f.table("list", READ), "x: 'list' is [{'n': 'a'}], not a dict; mend it"),
        (lambda f: Fields([], "y", "mend it", _RefusedError), "y is not a JSON object; mend it"),
    ],
)
def test_mistakes_name_their_place(read: Any, says: str) -> None:
    """The reader's own error and advice go with every inner object."""
    content = {
        "text": "a",
        "yes": True,
        "real": 0.5,
        "inner": {"n": 1},
        "list": [{"n": "a"}],
        "deep": {"k": {"n": None}},
    }
    with pytest.raises(_RefusedError) as said:
        read(Fields(content, "x", "mend it", _RefusedError))
    assert str(said.value) == says


def test_a_whole_number_beyond_any_float() -> None:
    with pytest.raises(BundleError, match="not a float; the bundle is damaged"):
        Fields({"n": 10**400}, "x").get("n", float)
