"""From texts to ids and what the text encoder says, and what is told of a prompt that is cut."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import AmusedEdgeWarning, Cancellation, MicroConditioning, OptionsError, PromptWeights
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.drawing.conditioning import PromptConditioner, micro_conditions
from amused_edge.runtime.drawing.starts import inpainting
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.drawing.weighting import encode_text
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.paths import ROOT

GEOMETRY = Geometry(64, 48, 16, 12, 32, 39, 77)


class Recorder:
    """A graph that says its ids, and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[dict[str, Any], Cancellation | None]] = []

    def __call__(self, inputs: Any, cancellation: Cancellation | None = None) -> dict[str, Any]:
        self.given.append((dict(inputs), cancellation))
        if "input_ids" not in inputs:
            return {"c": inputs["hidden_states"].sum(axis=(1, 2))[:, None]}
        ids = inputs["input_ids"].astype(np.float32)
        return {"hidden_states": ids[:, :, None], "pooled": ids[:, :1]}

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def tokenizer() -> PromptTokenizer:
    return PromptTokenizer(ROOT / "demo" / "bundle" / "tokenizer.json", 77)


def test_start_end_and_padding_have_no_weight(tokenizer: PromptTokenizer) -> None:
    """Whatever stands at the beginning and the end of the text."""
    ids, weights = tokenizer.weighted(PromptWeights("(fox:1.5)"))
    words = np.flatnonzero(weights != 1)
    assert (weights[words] == np.float32(1.5)).all()
    assert np.array_equal(ids, tokenizer(["fox"]))
    assert words[0] == 1  # after the start
    assert np.array_equal(words, np.arange(1, 1 + len(words)))
    assert (ids[0, words[-1] + 1 :] == ids[0, -1]).all()


def test_a_prompt_that_is_cut_is_told(tokenizer: PromptTokenizer) -> None:
    with pytest.warns(AmusedEdgeWarning, match=r"^the text encoder reads 77 tokens; cut off: '.*the end'$"):
        tokenizer(["word " * 100 + "the end"])


@pytest.mark.parametrize("prompt", ["a fox", PromptWeights("a (fox:2)")])
def test_whoever_may_cancel_can_while_a_text_is_encoded(
    tokenizer: PromptTokenizer, prompt: str | PromptWeights
) -> None:
    encoder, wish = Recorder(), Cancellation()
    encode_text(encoder, tokenizer, prompt, wish)
    assert {id(cancellation) for _, cancellation in encoder.given} == {id(wish)}


def test_a_text_is_not_taken_for_one_with_weights(tokenizer: PromptTokenizer) -> None:
    """Which writes itself as that text."""
    weighted = PromptWeights("a (fox:2)")

    @contextmanager
    def use(role: str) -> Iterator[Recorder]:
        yield Recorder()

    condition = PromptConditioner(tokenizer, use, 4)
    micro = micro_conditions(GEOMETRY, MicroConditioning())
    (one,), (other,) = condition([weighted], micro), condition([str(weighted)], micro)
    assert one["c"] != other["c"]


def test_micro_conditions_are_those_of_the_picture() -> None:
    found = micro_conditions(GEOMETRY, MicroConditioning(2, 3, 5))
    assert found.dtype == np.float32
    assert found.tolist() == [48, 64, 2, 3, 5]


@pytest.mark.parametrize("steps", [3, 4, 7, 12])
def test_the_least_strength_that_is_told_is_enough_and_less_is_not(steps: int) -> None:
    repaint, settings = np.ones((4, 6), bool), SamplerSettings(steps=steps)

    def start(strength: float) -> int:
        return inpainting(lambda: np.zeros((4, 6), np.int64), repaint, strength, settings, 39).first_step

    with pytest.raises(OptionsError, match="give at least") as told:
        start(0.01)
    least = float(str(told.value).split()[-1])
    assert least < 1 / steps + 0.9e-5
    assert start(least) == steps - 1
    with pytest.raises(OptionsError):
        start(least - 2e-5)
