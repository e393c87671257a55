"""Guidance, order, embeddings, micro-conditioning and long prompts on the demo bundle."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedEdgeWarning,
    AmusedPipeline,
    EngineOptions,
    GenerationOptions,
    MicroConditioning,
    OptionsError,
    PromptEmbeddings,
    TextToImage,
)
from amused_edge.runtime.engines import load_graph
from tests.support.drawn import PROMPT, QUICK


def test_outside_its_interval_guidance_costs_nothing_and_does_nothing(demo_bundle: Path) -> None:
    rows: list[int] = []

    def load(bundle: Any, role: str, options: Any) -> Any:
        graph = load_graph(bundle, role, options)
        if role != "denoiser":
            return graph

        class Counting:
            def __call__(self, inputs: Any, cancellation: Any = None) -> Any:
                rows.append(len(inputs["tokens"]))
                return graph(inputs)

            def close(self) -> None:
                graph.close()

        return Counting()

    from amused_edge.runtime.bundle.folder import Bundle

    with AmusedPipeline(Bundle.open(demo_bundle), EngineOptions(remembered_prompts=0), load=load) as counted:
        options = GenerationOptions(seed=3, steps=4, guidance_scale=4.0, guidance_interval=(0.25, 0.75))
        interval = counted.generate(PROMPT, options).tokens
        assert rows == [1, 2, 2, 1]
        rows.clear()
        ramp = GenerationOptions(seed=3, steps=4, guidance_scale=4.0, guidance_ramp="linear")
        counted.generate(PROMPT, ramp)
        assert rows == [1, 2, 2, 2]  # the ramp begins at 1
        nothing = GenerationOptions(seed=3, steps=4, guidance_scale=4.0, guidance_interval=(0.9, 0.95))
        plain = GenerationOptions(seed=3, steps=4, guidance_scale=1.0)
        assert np.array_equal(counted.generate(PROMPT, nothing).tokens, counted.generate(PROMPT, plain).tokens)
        assert not np.array_equal(interval, counted.generate(PROMPT, plain).tokens)


def test_a_halton_order_ignores_the_temperature_and_starts_anywhere(pipeline: AmusedPipeline) -> None:
    halton = [
        list(pipeline.stream(PROMPT, GenerationOptions(seed=seed, steps=4, temperature=t, order="halton")))
        for seed, t in ((3, 0.0), (3, 50.0), (4, 0.0))
    ]
    for cold, hot in zip(halton[0], halton[1], strict=True):
        assert np.array_equal(cold.tokens, hot.tokens)
    assert not np.array_equal(halton[0][0].mask, halton[2][0].mask)


def test_embeddings_take_the_place_of_their_prompt(pipeline: AmusedPipeline) -> None:
    expected = pipeline.generate(TextToImage(PROMPT, "blue"), QUICK)
    embedded = TextToImage(pipeline.embed(PROMPT), pipeline.embed("blue"))
    result = pipeline.generate(embedded, QUICK)
    assert np.array_equal(result.images, expected.images)
    mixed = pipeline.generate(TextToImage([pipeline.embed(PROMPT), PROMPT], "blue"), QUICK).images
    assert np.array_equal(mixed[0], mixed[1])


def test_bad_embeddings_are_refused(pipeline: AmusedPipeline) -> None:
    good = pipeline.embed(PROMPT)
    for name, value in (("hidden_states", np.nan), ("pooled", np.inf)):
        values = {"hidden_states": good.hidden_states.copy(), "pooled": good.pooled.copy()}
        values[name].flat[0] = value
        with pytest.raises(OptionsError, match=f"{name} of prompt embeddings hold NaN or infinity"):
            PromptEmbeddings(**values)
    with pytest.raises(OptionsError, match="shape"):
        PromptEmbeddings(good.hidden_states[None], good.pooled)
    with pytest.raises(OptionsError, match="no numbers"):
        PromptEmbeddings("text", good.pooled)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match=r"hidden_states .* shape \[5, 128\]; this bundle takes \[77, 128\]"):
        pipeline.generate(PromptEmbeddings(good.hidden_states[:5], good.pooled), QUICK)


def test_micro_conditioning_of_a_task(pipeline: AmusedPipeline) -> None:
    plain = pipeline.generate(PROMPT, QUICK).tokens
    same = pipeline.generate(TextToImage(PROMPT, micro_conditioning=MicroConditioning()), QUICK).tokens
    assert np.array_equal(plain, same)
    other = pipeline.generate(TextToImage(PROMPT, micro_conditioning=MicroConditioning(aesthetic_score=60.0)), QUICK)
    assert not np.array_equal(plain, other.tokens)
    for bad in (float("nan"), 1e300, "6", True):
        with pytest.raises(OptionsError, match="crop_top is"):
            MicroConditioning(crop_top=bad)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="give a MicroConditioning"):
        TextToImage(PROMPT, micro_conditioning={"crop_top": 1})  # type: ignore[arg-type]


def test_a_long_prompt_is_cut_with_a_warning_that_shows_what(pipeline: AmusedPipeline) -> None:
    long = "a castle, " * 60 + "and a very small fox"
    with pytest.warns(AmusedEdgeWarning, match="reads 77 tokens; cut off: .*and a very small fox'"):
        pipeline.generate(long, GenerationOptions(steps=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", AmusedEdgeWarning)
        pipeline.tokenizer(["a castle"])
