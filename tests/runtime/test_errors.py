"""Messages: one short line, whatever is in the values that they quote."""

import pickle
import warnings

import pytest

from amused_edge.export.errors import CheckpointError
from amused_edge.quantization.errors import RecipeError
from amused_edge.runtime import (
    AmusedEdgeError,
    AmusedEdgeWarning,
    BundleError,
    GenerationOptions,
    OptionsError,
    OutputExistsError,
)
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import one_line, quoted

LONG = "x" * 5000
HOSTILE = "a\nb\x1b[31mred\r\t\x9b2J\u202eevil\u2028\udcff\x00"


@pytest.mark.parametrize(
    "value",
    [LONG, LONG.encode(), [LONG] * 9, {"a": {LONG: LONG}}, 10**5000, HOSTILE * 99, None],
    ids=["text", "bytes", "list", "object", "number", "hostile", "none"],
)
def test_a_quoted_value_is_one_short_line(value: object) -> None:
    """A value of thousands of characters came through whole."""
    text = quoted(value)
    assert len(text) <= 100
    assert text.isprintable()


def test_a_short_value_is_quoted_as_it_is() -> None:
    for value in ("a  fox's", 3, 2.5, None, ["a", 1], {"b": ()}):
        assert quoted(value) == repr(value)
    assert quoted("x" * 98) == repr("x" * 98)


def test_of_a_long_value_both_ends_are_shown() -> None:
    text = quoted("begin" + LONG + "end")
    assert text.startswith("'beginxxx")
    assert text.endswith("xxxend'")
    assert "x...x" in text


@pytest.mark.parametrize("kind", [AmusedEdgeError, OptionsError, OutputExistsError, CheckpointError, RecipeError])
def test_every_error_is_one_short_line(kind: type[AmusedEdgeError]) -> None:
    """Whoever shows it: the text of another library, or the name of a file, could have lines and control a terminal."""
    error = kind(f"cannot read {HOSTILE}/{LONG}: a library\n\n  says this;\n make it again")
    assert str(error).startswith("cannot read a b\\x1b[31mred ")
    assert str(error).endswith("a library says this; make it again")
    assert str(error).isprintable()
    assert len(str(error)) <= 400
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_keeps_its_kind_and_its_short_text() -> None:
    error = OutputExistsError("a  b exists; choose another name")
    assert str(error) == "a  b exists; choose another name"
    assert isinstance(error, FileExistsError)
    assert isinstance(OptionsError("x"), ValueError)
    assert str(BundleError()) == ""


def test_a_warning_is_one_short_line() -> None:
    """A prompt of megabytes was printed again, as what was cut off."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(f"cut off: {HOSTILE}{LONG * 600}", AmusedEdgeWarning, stacklevel=1)
    text = str(caught[0].message)
    assert text.isprintable()
    assert len(text) <= 400


def test_a_field_of_a_manifest_is_quoted_short() -> None:
    """A text of 5,000 characters in a manifest gave a page."""
    with pytest.raises(BundleError) as caught:
        Fields({"steps": LONG}, "manifest.json: sampler").get("steps", int)
    text = str(caught.value)
    assert text.startswith("manifest.json: sampler: 'steps' is 'xxx")
    assert text.endswith("not a int; the bundle is damaged, make it again")
    assert len(text) < 250


def test_a_line_has_no_end_of_a_line() -> None:
    assert one_line(" a\r\n\n  b\u2028c\x85d\x0be ") == "a b c d e"
    assert one_line("é 猫") == "é 猫"  # letters are no control characters


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["large", "small"])
def test_an_option_of_thousands_of_digits(value: int) -> None:
    """Python writes no number that long: the message itself was an error, and not one of ours."""
    for option in ("seed", "steps", "guidance_scale"):
        with pytest.raises(OptionsError) as caught:
            GenerationOptions(**{option: value})
        assert str(caught.value).startswith(f"{option} is a very long int; it must be ")
