"""Pictures and masks of tasks in a bundle's size: what is asked of a task reaches what is done with it."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime import AmusedEdgeWarning, Cancellation, Inpainting, Variation
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.drawing import canvas as module
from amused_edge.runtime.drawing import starts
from amused_edge.runtime.drawing.canvas import Canvas
from amused_edge.runtime.pictures.sources import fit_image
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.schedule import mask_ratio
from amused_edge.runtime.tasks.kinds import Task

GEOMETRY = Geometry(
    image_height=8, image_width=12, grid_height=4, grid_width=6, codebook_size=32, mask_token_id=39, text_length=77
)
RNG = np.random.default_rng(3)
PICTURE, OTHER = RNG.integers(0, 256, (2, 8, 12, 3), np.uint8)
HALF = np.zeros((8, 12), np.uint8)
HALF[:, 6:] = 255
SETTINGS = SamplerSettings(steps=4)


class Encoder:
    """Returns the red of each second pixel, and notes who may cancel."""

    def __init__(self) -> None:
        self.cancellations: list[Cancellation | None] = []

    def __call__(self, images: Any, cancellation: Cancellation | None) -> Any:
        self.cancellations.append(cancellation)
        return images[:, ::2, ::2, 0].astype(np.int64) // 8


def tokens_of(picture: Any) -> Any:
    return picture[::2, ::2, 0] // 8


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def canvas(encoder: Encoder) -> Canvas:
    return Canvas(GEOMETRY, encoder)


def masked(canvas: Canvas, task: Task) -> Any:
    """Which tokens a task draws."""
    return canvas.begin(task, 0, SETTINGS).tokens == GEOMETRY.mask_token_id


@pytest.mark.parametrize("task", [Variation("a", PICTURE, 0.2), Inpainting("a", PICTURE, HALF, 1.0)])
def test_whoever_may_cancel_can_while_a_picture_is_encoded(canvas: Canvas, encoder: Encoder, task: Task) -> None:
    wish = Cancellation()
    canvas.begin(task, 0, SETTINGS, wish)
    assert encoder.cancellations == [wish]


def test_a_picture_is_encoded_once_and_not_taken_for_another(canvas: Canvas, encoder: Encoder) -> None:
    """Also not for itself, brought to the bundle's size otherwise. Nobody can change what is remembered."""
    wide = np.concatenate([PICTURE, OTHER], 1)
    given: list[tuple[Any, Any, Any]] = [
        (PICTURE, "crop", PICTURE),
        (PICTURE, "crop", PICTURE),
        (OTHER, "crop", OTHER),
        (wide, "crop", wide[:, 6:18]),
        (wide, "stretch", np.asarray(Image.fromarray(wide).resize((12, 8), Image.Resampling.LANCZOS))),
    ]
    for picture, fit, seen in given:
        start = canvas.begin(Variation("a", picture, 0.2, fit=fit), 0, SETTINGS)
        assert np.array_equal(start.tokens, tokens_of(seen))
        assert not start.tokens.flags.writeable
    assert len(encoder.cancellations) == len(given) - 1


def test_a_picture_is_fitted_and_encoded_once_until_others_came(
    canvas: Canvas, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept are two of what was fitted, as a picture and its mask, and the tokens of one."""
    fitted: list[int] = []

    def fit(image: Image.Image, *size: Any) -> Image.Image:
        fitted.append(np.asarray(image)[0, 0, 0])
        return fit_image(image, *size)

    monkeypatch.setattr(module, "fit_image", fit)
    third = OTHER[::-1].copy()
    for picture in (PICTURE, PICTURE, OTHER, OTHER, PICTURE, PICTURE, third, PICTURE, OTHER):
        found = canvas.begin(Variation("a", picture, 0.2), 0, SETTINGS).tokens
        assert np.array_equal(found, tokens_of(picture))
    expected = [PICTURE, OTHER, PICTURE, third, PICTURE, OTHER]
    assert len(encoder.cancellations) == len(expected)
    assert fitted == [picture[0, 0, 0] for picture in (PICTURE, OTHER, third, OTHER)]


def test_a_variation_of_full_strength_begins_with_nothing(canvas: Canvas) -> None:
    begun = canvas.begin(Variation("a", PICTURE, 1.0), 0, SETTINGS)
    assert begun.tokens.tolist() == np.full((4, 6), GEOMETRY.mask_token_id).tolist()
    assert (begun.tokens.dtype, begun.first_step, begun.starting_mask_ratio) == (np.int64, 0, 1.0)


def test_a_token_is_masked_where_its_noise_is_below_the_share(canvas: Canvas, monkeypatch: pytest.MonkeyPatch) -> None:
    """And kept where it is the share itself: as many are masked, on average, as the share says."""
    share = mask_ratio("linear", 1, 4)
    noise = np.where(np.arange(24) < 5, np.nextafter(share, np.float32(0)), share)
    monkeypatch.setattr(starts, "uniforms", lambda *_, **__: noise)
    found = canvas.begin(Variation("a", PICTURE, 0.5), 0, SamplerSettings(steps=4, schedule="linear")).tokens
    assert np.flatnonzero(found == GEOMETRY.mask_token_id).tolist() == [0, 1, 2, 3, 4]


def test_which_tokens_a_mask_covers(canvas: Canvas) -> None:
    """One pixel is enough for "any", and too little for "half"."""
    one = HALF.copy()
    one[0, 0] = 255
    half = np.zeros((4, 6), bool)
    half[:, 3:] = True
    corner = half.copy()
    corner[0, 0] = True
    assert np.array_equal(masked(canvas, Inpainting("a", PICTURE, one, 1.0, coverage="half")), half)
    assert np.array_equal(masked(canvas, Inpainting("a", PICTURE, one, 1.0, coverage="any")), corner)


def test_a_mask_is_brought_to_size_as_its_picture_is(canvas: Canvas) -> None:
    """Of one twice as wide, whose left third is covered, cropping leaves a sixth and stretching a third."""
    wide, mask = np.concatenate([PICTURE, OTHER], 1), np.zeros((8, 24), np.uint8)
    mask[:, :8] = 255
    shares = {fit: masked(canvas, Inpainting("a", wide, mask, 1.0, fit=fit)).mean() for fit in ("crop", "stretch")}
    assert shares == pytest.approx({"crop": 1 / 6, "stretch": 1 / 3})


def test_an_edge_fades_over_its_feather(canvas: Canvas) -> None:
    """From the mask's border inwards: 2 pixels of it reach the whole at the third."""
    black, white = np.zeros((8, 12, 3), np.uint8), np.full((8, 12, 3), 255, np.uint8)
    for feather, row in ((0, [255] * 6), (2, [85, 170, 255, 255, 255, 255])):
        task = Inpainting("a", black, HALF, 1.0, feather=feather)
        assert np.array_equal(canvas.finish(task, lambda: white)[4, :, 1], [0] * 6 + row)


def test_a_mask_that_covers_nothing_leaves_no_step(canvas: Canvas) -> None:
    with pytest.warns(AmusedEdgeWarning, match="covers no token"):
        start = canvas.begin(Inpainting("a", PICTURE, np.zeros_like(HALF), 1.0), 0, SETTINGS)
    assert (start.first_step, start.starting_mask_ratio) == (4, 1.0)
    assert np.array_equal(start.tokens, tokens_of(PICTURE))


def test_a_variation_too_weak_for_a_step_has_none(canvas: Canvas) -> None:
    start = canvas.begin(Variation("a", PICTURE, 0.2), 0, SETTINGS)
    assert (start.first_step, start.starting_mask_ratio) == (4, 1.0)
