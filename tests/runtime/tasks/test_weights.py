"""The notation of prompts with weights."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amused_edge.runtime import OptionsError, PromptWeights
from amused_edge.runtime.tasks.weights import with_weights


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a fox", [("a fox", 1.0)]),
        ("", []),
        ("a (red:1.3) fox", [("a ", 1.0), ("red", 1.3), (" fox", 1.0)]),
        ("((a))", [("a", 1.21)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("[(a)] b", [("a b", 1.0)]),
        ("(a)(b)", [("ab", 1.1)]),
        ("(a (b:1.2) c:1.5)", [("a ", 1.5), ("b", 1.8), (" c", 1.5)]),
        (r"a \(b\) \[c\] \\ d\e", [(r"a (b) [c] \ d\e", 1.0)]),
        (r"(a\):1.5)", [("a)", 1.5)]),
        ("(a:0)", [("a", 0.0)]),
        ("(a: .5 )", [("a", 0.5)]),
        ("(ratio: large)", [("ratio: large", 1.1)]),
        ("(über 🦊:2)", [("über 🦊", 2.0)]),
    ],
)
def test_parts(text: str, parts: list[tuple[str, float]]) -> None:
    prompt = PromptWeights(text)
    assert [part for part, _ in prompt.parts] == [part for part, _ in parts]
    assert [weight for _, weight in prompt.parts] == pytest.approx([weight for _, weight in parts], rel=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a (fox", r"bracket \( at letter 3 of 'a \(fox' has no partner"),
        ("a fox)", r"bracket \) at letter 6"),
        ("(a]", r"bracket \] at letter 3"),
        (r"(a\)", r"bracket \( at letter 1"),
        ("(a:-1)", r"'\(a:-1\)' has the weight -1; weights are from 0 to 100"),
        ("(a:101)", "the largest is 100"),
        ("(" * 50_000 + "a" + ")" * 50_000, r"bracket \( at letter 101 of .* stands in 100 others"),
        ("[a:1.3]", "weights stand in round ones"),
        ("\ud800", "not valid Unicode"),
        (3, "must be a string"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        PromptWeights(text)


@pytest.mark.parametrize("text", ["(a:" + "1" * 200_000 + "x)", "(a)" * 100_000, r"\(" * 300_000])
def test_long_texts_are_read(text: str) -> None:
    """A number that was none took the square of its digits: ten minutes for the first of these."""

    def late(*_: object) -> None:
        raise AssertionError("this does not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    try:
        assert len(PromptWeights(text).plain) >= 100_000
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_brackets_may_stand_in_many_others() -> None:
    prompt = PromptWeights("[(" * 50 + "a" + ")]" * 50)
    assert [text for text, _ in prompt.parts] == ["a"]
    assert prompt.parts[0][1] == pytest.approx(1, rel=1e-12)


@given(st.text(st.characters(codec="utf-8")))
def test_an_escaped_text_is_itself(text: str) -> None:
    escaped = "".join(f"\\{letter}" if letter in "\\()[]" else letter for letter in text)
    assert PromptWeights(escaped).plain == text
    assert all(weight == 1.0 for _, weight in PromptWeights(escaped).parts)


def test_a_text_without_the_notation_stays_a_text() -> None:
    assert with_weights("a fox, 3d") == "a fox, 3d"
    assert with_weights(r"a \(fox\)") == PromptWeights(r"a \(fox\)")
