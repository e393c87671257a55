"""Pictures that the demo's bundles draw: their tokens after every step, and how clear each decision was."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from amused_edge.conformance.margins import Margins, margins
from amused_edge.conformance.numbers import short
from amused_edge.conformance.pictures import picture, pixels
from amused_edge.conformance.vector_set import Tolerance, Values, VectorSet, differences
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.kinds import Inpainting, Task, TextToImage, Variation

RECIPES = {"fp32": (20, 1), "fp16": (500, 1), "w8": (20, 1), "w8a8": (2000, 4), "w4": (20, 1)}
"""Recipe -> margin, in thousandths, up to which a decision is a near-tie, and levels that a pixel may be off.

Logits of the demo reach 19. What a bundle's golden output allows of them is 1e-3; 1e-2 where an engine may compute in
halves; more with 8-bit activations, where kernels that round differently were seen to be 0.7 apart, and guidance
multiplies that.
"""

_UNIT, _CLEAR = 1000, 9999
_MOST_NEAR = 0.1
"""Share of a picture's decisions that may be near-ties which went otherwise."""

_OTHER_CODES = 0.02
"""Share of a picture's tokens that another engine's encoder may choose otherwise."""

_CORNER = 4

_SCENE = {
    "size": [64, 64],
    "background": [40, 90, 200],
    "rectangles": [[8, 36, 60, 60, [30, 140, 50]], [20, 12, 44, 44, [210, 60, 30]], [26, 18, 32, 24, [250, 240, 220]]],
}
_COVER = {"size": [64, 64], "background": 0, "rectangles": [[18, 10, 50, 42, 255]]}


def _given() -> list[Values]:
    fox, cat = "a red fox on a blue background", "a photo of a cat"
    return [
        _case("text_to_image", fox, "", "0", "0", {}),
        _case(
            "text_to_image",
            cat,
            "blurry",
            "18446744073709551615",
            "3",
            {"steps": 8, "guidance_scale": 4.0, "guidance_ramp": "linear", "guidance_interval": [0.1, 0.9]},
        ),
        _case("text_to_image", fox, "", "7", "0", {"steps": 6, "order": "halton", "guidance_scale": 1.0}),
        _case("variation", cat, "", "1", "1", {"steps": 12, "guidance_scale": 2.0}, image=_SCENE, strength=0.5),
        _case("inpainting", fox, "", "2", "0", {"steps": 8}, image=_SCENE, mask=_COVER, strength=1.0),
    ]


def _case(kind: str, prompt: str, negative: str, seed: str, place: str, options: Values, **own: Any) -> Values:
    return {
        "kind": kind,
        "prompt": prompt,
        "negative_prompt": negative,
        "seed": seed,
        "picture": place,
        "options": options,
        **own,
    }


@dataclass(frozen=True)
class _Drawing:
    """One picture with one bundle; what is not given comes from the bundle, as everywhere."""

    pipeline: AmusedPipeline
    given: Values

    @property
    def settings(self) -> SamplerSettings:
        """Settings of its loop."""
        return self.pipeline.settings(self._options(), self._task())

    def begin(self) -> Values:
        """Return its start."""
        (state,) = self.pipeline.begin(self._task(), self._options())
        return {
            "first_step": state.next_step,
            "starting_mask_ratio": short(state.starting_mask_ratio),
            "tokens": state.tokens.reshape(-1).tolist(),
        }

    def step(self, tokens: IntArray, index: int, starting_mask_ratio: float) -> tuple[Step, Margins, IntArray]:
        """Run one step from a grid; return it, its margins, and the positions that were masked before."""
        pipeline, settings = self.pipeline, self.settings
        prompts = [self.given["negative_prompt"], self.given["prompt"]]
        conditioning = pipeline.condition(prompts if settings.guided else prompts[1:])
        asked: list[FloatArray] = []

        def denoise(_: int, step: int, grid: IntArray, rows: IntArray) -> FloatArray:
            asked.append(pipeline.guided_logits(grid, rows, conditioning, settings.guidance_at(step)))
            return asked[0]

        seed, place = int(self.given["seed"]), int(self.given["picture"])
        mask_id = pipeline.geometry.mask_token_id
        step = next(
            mask_predict(
                denoise,
                tokens[None],
                [place],
                seed=seed,
                settings=settings,
                mask_token_id=mask_id,
                starting_mask_ratio=[starting_mask_ratio],
                first_step=index,
            )
        )
        rows = np.flatnonzero(tokens == mask_id)
        return step, margins(asked[0], rows, step, seed=seed, picture=place), rows

    def corner(self, tokens: IntArray) -> list[int]:
        """Return the decoded picture's top left corner."""
        return pixels(self.pipeline.decode(tokens[None])[0, :_CORNER, :_CORNER])

    def _task(self) -> Task:
        common: Any = {
            "negative_prompts": self.given["negative_prompt"],
            "first_picture": int(self.given["picture"]),
        }
        if self.given["kind"] == "text_to_image":
            return TextToImage(self.given["prompt"], **common)
        image, strength = picture(self.given["image"]), self.given["strength"]
        if self.given["kind"] == "variation":
            return Variation(self.given["prompt"], image, strength, **common)
        return Inpainting(self.given["prompt"], image, picture(self.given["mask"]), strength, **common)

    def _options(self) -> GenerationOptions:
        return GenerationOptions(int(self.given["seed"]), **self.given["options"])


@lru_cache(maxsize=1)
def _pipeline(bundle: Path) -> AmusedPipeline:
    return AmusedPipeline.from_bundle(bundle)


def _answer(bundle: Path, given: Values) -> Values:
    """Draw the picture, each step from the one before."""
    drawing = _Drawing(_pipeline(bundle), given)
    start = drawing.begin()
    tokens = _grid(drawing, start["tokens"])
    steps = []
    for index in range(start["first_step"], drawing.settings.steps):
        step, clear, rows = drawing.step(tokens, index, start["starting_mask_ratio"])
        kept = ~step.mask.reshape(-1)[rows]
        steps.append(
            {
                "step": index,
                "drawn": step.predicted.reshape(-1)[rows].tolist(),
                "kept": rows[kept].tolist(),
                "draw_margins": _thousandths(clear.draw),
                "keep_margins": _thousandths(clear.keep),
            }
        )
        tokens = step.tokens[0]
    return {"start": start, "steps": steps, "corner": drawing.corner(tokens)}


def _grid(drawing: _Drawing, tokens: list[int]) -> IntArray:
    g = drawing.pipeline.geometry
    return np.array(tokens, np.int64).reshape(g.grid_height, g.grid_width)


def _thousandths(values: FloatArray) -> list[int]:
    return [min(_CLEAR, int(value * _UNIT)) if np.isfinite(value) else _CLEAR for value in np.abs(values)]


@dataclass(frozen=True)
class DrawnSet(VectorSet):
    """Pictures of one bundle.

    Attributes
    ----------
    bundle
        Its folder, which may be missing.
    """

    bundle: Path = field(default=Path())

    def missing(self) -> str | None:
        """Return why the set cannot be run, or None."""
        if (self.bundle / "manifest.json").is_file():
            return None
        return f"there is no bundle {self.bundle}; make it with `make recipes`"

    def check(self, case: Values) -> tuple[list[str], int]:
        """Run each step from what the vectors say of the one before, and tell near-ties from faults."""
        drawing, expected = _Drawing(_pipeline(self.bundle), case["given"]), case["expect"]
        found = _start_differences(expected["start"], drawing.begin())
        near, decisions = 0, 0
        tokens = _grid(drawing, expected["start"]["tokens"])
        for step in expected["steps"]:
            rows = np.flatnonzero(tokens == drawing.pipeline.geometry.mask_token_id)
            now, _, _ = drawing.step(tokens, step["step"], expected["start"]["starting_mask_ratio"])
            lines, ties = _step_differences(step, rows, now, self.tolerance["margins"].absolute)
            found, near, decisions = found + lines, near + ties, decisions + 2 * len(rows)
            tokens = _after(tokens, rows, step)
        if near > _MOST_NEAR * decisions:
            found.append(f"{near} of {decisions} decisions are near-ties that went otherwise")
        corner = {"corner": drawing.corner(tokens)}
        return found + differences({"corner": expected["corner"]}, corner, self.tolerance), near


def _after(tokens: IntArray, rows: IntArray, step: Values) -> IntArray:
    """Return the grid after a step as the vectors tell it."""
    after = tokens.copy().reshape(-1)
    kept = np.isin(rows, step["kept"])
    after[rows[kept]] = np.array(step["drawn"], np.int64)[kept]
    return after.reshape(tokens.shape)


def _start_differences(expected: Values, found: Values) -> list[str]:
    lines = [
        f"start.{name} is {found[name]}"
        for name in ("first_step", "starting_mask_ratio")
        if found[name] != expected[name]
    ]
    different = np.array(expected["tokens"]) != np.array(found["tokens"])
    if different.mean() > _OTHER_CODES:
        lines.append(f"start.tokens differs at {different.sum()} positions")
    return lines


def _step_differences(step: Values, rows: IntArray, found: Step, near: float) -> tuple[list[str], int]:
    """Return the faults of a step, and how many near-ties went otherwise.

    A token drawn otherwise has another confidence, and may take another's place above the cut or lose its own: two
    positions for each.
    """
    name = f"steps[{step['step']}]"
    other = found.predicted.reshape(-1)[rows] != np.array(step["drawn"])
    clear = np.array(step["draw_margins"]) > near
    faults = [f"{name} draws another token at position {position}" for position in rows[other & clear]]
    moved = np.isin(rows, step["kept"]) != ~found.mask.reshape(-1)[rows]
    far = moved & (np.array(step["keep_margins"]) > near)
    if far.sum() > 2 * other.sum():
        faults.append(f"{name} masks other positions: {rows[far].tolist()}")
    return faults, int(other.sum() + moved.sum())


def drawn_sets(demo: Path, recipes: Path) -> Iterator[DrawnSet]:
    """Yield a set per recipe: w8 of the demo's bundle, the others of `demo-RECIPE` in a folder of bundles."""
    for recipe, (near, levels) in RECIPES.items():
        bundle = demo if recipe == "w8" else recipes / f"demo-{recipe}"
        yield DrawnSet(
            f"pictures-{recipe}",
            f"Pictures of the demo by recipe {recipe}, step by step; margins in thousandths, 9999 is that or more.",
            _given,
            partial(_answer, bundle),
            {"margins": Tolerance(near), "corner": Tolerance(levels)},
            bundle,
        )
