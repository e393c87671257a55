"""Variation, in-painting and out-painting on the demo bundle: what changes, what stays, what is refused."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime import (
    AmusedEdgeWarning,
    AmusedPipeline,
    GenerationOptions,
    Inpainting,
    OptionsError,
    TextToImage,
    Variation,
    outpainting,
)
from tests.support.drawn import OTHER, PROMPT, QUICK, SIDE, right_half


@pytest.mark.parametrize("feather", [0, 6])
def test_the_known_half_is_unchanged_to_the_pixel(pipeline: AmusedPipeline, fox: Any, feather: int) -> None:
    image = pipeline.generate(Inpainting(OTHER, fox, right_half(), feather=feather), QUICK).images[0]
    assert np.array_equal(image[:, :32], fox[:, :32])
    assert np.mean(image[:, 32:] != fox[:, 32:]) > 0.3


def test_without_pasting_back_the_whole_picture_passes_through_the_vqgan(pipeline: AmusedPipeline, fox: Any) -> None:
    result = pipeline.generate(Inpainting(OTHER, fox, right_half(), paste_back=False), QUICK)
    assert np.array_equal(result.images, pipeline.decode(result.tokens))
    assert np.array_equal(result.tokens[0, :, :8], pipeline.encode(fox[None])[0, :, :8])
    assert not np.array_equal(result.images[0, :, :32], fox[:, :32])


def test_an_inpainting_has_a_linear_schedule_unless_asked_otherwise(pipeline: AmusedPipeline, fox: Any) -> None:
    task = Inpainting(OTHER, fox, right_half())
    assert pipeline.settings(QUICK, task).schedule == "linear"
    assert pipeline.settings(GenerationOptions(schedule="cosine"), task).schedule == "cosine"
    assert pipeline.settings(QUICK, TextToImage(OTHER)).schedule == "cosine"


@pytest.mark.parametrize("paste_back", [True, False])
def test_a_black_mask_gives_the_picture_back_and_says_so(pipeline: AmusedPipeline, fox: Any, paste_back: bool) -> None:
    task = Inpainting(OTHER, fox, np.zeros((SIDE, SIDE), np.uint8), paste_back=paste_back)
    with pytest.warns(AmusedEdgeWarning, match="nothing to draw"):
        result = pipeline.generate(task, QUICK)
    assert np.array_equal(result.images[0], fox)
    with pytest.warns(AmusedEdgeWarning, match="nothing to draw"):
        assert list(pipeline.stream(task, QUICK)) == []


def test_a_white_mask_draws_everything(pipeline: AmusedPipeline, fox: Any) -> None:
    linear = GenerationOptions(seed=3, steps=4, schedule="linear")
    task = Inpainting(OTHER, fox, np.full((SIDE, SIDE), 255, np.uint8))
    assert np.array_equal(pipeline.generate(task, QUICK).images, pipeline.generate(OTHER, linear).images)


def test_strengths_of_a_variation(pipeline: AmusedPipeline, fox: Any) -> None:
    """0 passes through the VQ-GAN, 1 is text to image, between them more changes."""
    tokens = pipeline.encode(fox[None])
    nothing = pipeline.generate(Variation(OTHER, fox, 0.0), QUICK)
    assert np.array_equal(nothing.tokens, tokens)
    assert np.array_equal(nothing.images, pipeline.decode(tokens))
    all_of_it = pipeline.generate(Variation(OTHER, fox, 1.0), QUICK)
    assert np.array_equal(all_of_it.images, pipeline.generate(OTHER, QUICK).images)
    changed = [np.mean(pipeline.generate(Variation(OTHER, fox, s), QUICK).tokens != tokens) for s in (0.25, 0.75)]
    assert 0 < changed[0] < changed[1] < 1


def test_nobody_can_change_what_is_remembered_of_a_picture(pipeline: AmusedPipeline, fox: Any) -> None:
    nothing = next(pipeline.pictures(Variation(OTHER, fox, 0.0), QUICK))
    with pytest.raises(ValueError, match="read-only"):
        nothing.tokens[:] = 0


def test_strength_that_leaves_no_step_for_a_mask_is_refused(pipeline: AmusedPipeline, fox: Any) -> None:
    for strength in (0.0, 0.2):
        with pytest.raises(OptionsError, match=r"leaves none .* at least 0\.25"):
            pipeline.generate(Inpainting(OTHER, fox, right_half(), strength), QUICK)


def test_copies_of_a_variation_draw_masks_of_their_own(pipeline: AmusedPipeline, fox: Any) -> None:
    first, second = pipeline.begin(Variation(OTHER, fox, 0.5, pictures_per_prompt=2), QUICK)
    assert not np.array_equal(first.tokens, second.tokens)
    alone = pipeline.generate(Variation(OTHER, fox, 0.5, first_picture=1), QUICK).images[0]
    both = pipeline.generate(Variation(OTHER, fox, 0.5, pictures_per_prompt=2), QUICK).images
    assert np.array_equal(alone, both[1])
    assert not np.array_equal(both[0], both[1])


def test_one_picture_for_each_prompt(pipeline: AmusedPipeline, fox: Any) -> None:
    """The starting mask ratio is each picture's own."""
    masks = [right_half(), right_half().T]
    masks[1] = np.where(np.arange(SIDE)[:, None] >= 48, 255, 0).astype(np.uint8).repeat(SIDE, 1)
    task = Inpainting([OTHER, PROMPT], [fox, fox[::-1]], masks)
    together = pipeline.generate(task, QUICK).images
    assert np.array_equal(together[0], pipeline.generate(Inpainting(OTHER, fox, masks[0]), QUICK).images[0])
    assert np.array_equal(together[1], pipeline.generate(Inpainting(PROMPT, fox[::-1], masks[1]), QUICK).images[0])
    assert [state.starting_mask_ratio for state in pipeline.begin(task, QUICK)] == [0.5, 0.25]
    *_, last = pipeline.stream(task, QUICK)
    assert np.array_equal(last.tokens, pipeline.generate(task, QUICK).tokens)


@pytest.mark.filterwarnings("ignore:the mask covers no token")
def test_a_picture_with_nothing_to_draw_does_not_stop_the_others(pipeline: AmusedPipeline, fox: Any) -> None:
    black = np.zeros((SIDE, SIDE), np.uint8)
    task = Inpainting([OTHER, OTHER], fox, [black, right_half()])
    *_, last = pipeline.stream(task, QUICK)
    result = pipeline.generate(task, QUICK)
    assert np.array_equal(last.tokens, result.tokens)
    assert np.array_equal(result.images[0], fox)
    assert np.array_equal(result.images[1], pipeline.generate(Inpainting(OTHER, fox, right_half()), QUICK).images[0])


def test_outpainting_keeps_the_picture_in_the_middle(pipeline: AmusedPipeline, fox: Any) -> None:
    small = Image.fromarray(fox).resize((32, 32))
    image = pipeline.generate(outpainting(PROMPT, small, left=16, right=16, top=32), QUICK).images[0]
    assert np.array_equal(image[32:, 16:48], np.asarray(small))
    task = outpainting(PROMPT, small, left=30, right=2, top=32)
    (state,) = pipeline.begin(task, QUICK)
    assert (state.tokens[8:, 8:15] != 319).all()
    assert (state.tokens[:, :8] == 319).all()
    assert (state.tokens[:, 15] == 319).all()  # a column of tokens that new canvas covers by half a token
    with pytest.raises(OptionsError, match="other proportions"):
        pipeline.generate(outpainting(PROMPT, small, left=32), QUICK)


@pytest.mark.parametrize("size", [(1, 1), (300, 17)])
def test_pictures_of_any_size_are_taken(pipeline: AmusedPipeline, size: tuple[int, int]) -> None:
    image = Image.new("RGBA", size, (200, 30, 30, 128))
    result = pipeline.generate(Inpainting(OTHER, image, Image.new("1", size, 1), fit="pad"), GenerationOptions(steps=1))
    assert result.images.shape == (1, SIDE, SIDE, 3)


def test_bad_pictures_are_refused_before_any_graph_runs(fox: Any) -> None:
    cases: list[tuple[str, Any]] = [
        ("mask has 32x64 pixels, its picture 64x64", lambda: Inpainting(OTHER, fox, right_half()[:, :32])),
        ("strength is 1.5", lambda: Variation(OTHER, fox, 1.5)),
        ("strength is nan", lambda: Variation(OTHER, fox, float("nan"))),
        ("strength is -0.1", lambda: Variation(OTHER, fox, -0.1)),
        ("fit is 'fill'", lambda: Variation(OTHER, fox, fit="fill")),
        ("coverage is 'most'", lambda: Inpainting(OTHER, fox, right_half(), coverage="most")),
        ("feather is -1", lambda: Inpainting(OTHER, fox, right_half(), feather=-1)),
        ("2 images for 3 prompts", lambda: Variation([OTHER] * 3, [fox, fox])),
        ("2 masks for 1 prompts", lambda: Inpainting(OTHER, fox, [right_half(), right_half()])),
        ("left is -1", lambda: outpainting(OTHER, fox, left=-1)),
        ("canvas has 16484x64 pixels", lambda: outpainting(OTHER, fox, left=16384 // 2, right=16384 // 2 + 36)),
    ]
    for words, build in cases:
        with pytest.raises(OptionsError, match=words):
            build()
