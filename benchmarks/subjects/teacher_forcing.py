"""Asks several sources of logits about the same states: one of them draws, all are asked at every step.

So a token that one would draw otherwise does not send it down another path, and every step can be compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics import logits as fidelity
from amused_edge.benchmarks.metrics.pictures import decibels, has_ssim, psnr, squared_error, ssim
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.bundle.measurements import Fidelity, LogitFidelity, PictureFidelity
from amused_edge.runtime.errors import quoted
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms

_REFERENCE = "reference"

LogitSource = Callable[[int, IntArray, IntArray], FloatArray]
"""(step, tokens (h, w), masked rows (M,)) -> logits (M, V) of those rows for one prompt, guided as at that step."""


@dataclass(frozen=True)
class State:
    """One step of one generation.

    Attributes
    ----------
    step
        From 0.
    tokens
        (h, w) int64 that every source was asked about.
    rows
        (M,) masked positions.
    logits
        Source -> (M, V) float32.
    uniforms
        (M, V): the noise that this step's tokens are drawn with.
    predicted
        (h, w) int64: what the driver drew; the finished grid at the last step.
    """

    step: int
    tokens: IntArray
    rows: IntArray
    logits: dict[str, FloatArray]
    uniforms: FloatArray
    predicted: IntArray


def follow(
    sources: Mapping[str, LogitSource],
    driver: str,
    geometry: Geometry,
    settings: SamplerSettings,
    *,
    seed: int = 0,
    picture: int = 0,
) -> Iterator[State]:
    """Draw a picture with the logits of `driver`, from an all-masked grid, and yield the `State` of every step."""
    asked: dict[str, FloatArray] = {}
    seen: list[tuple[IntArray, IntArray]] = []

    def denoise(_picture: int, step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
        seen.append((tokens, rows))
        asked.update({name: source(step, tokens, rows) for name, source in sources.items()})
        return asked[driver]

    start = np.full((1, geometry.grid_height, geometry.grid_width), geometry.mask_token_id, np.int64)
    steps = mask_predict(denoise, start, [picture], seed=seed, settings=settings, mask_token_id=geometry.mask_token_id)
    for step in steps:
        tokens, rows = seen.pop()
        codes = asked[driver].shape[1]
        table = uniforms(tokens.size * codes, seed=seed, picture=picture, step=step.index, purpose=Purpose.TOKENS)
        noise = table.reshape(tokens.size, codes)[rows]
        yield State(step.index, tokens, rows, dict(asked), noise, step.predicted[0])


class LogitMeter:
    """Collects `LogitFidelity` over states."""

    def __init__(self) -> None:
        self._rows: dict[str, list[NDArray[np.float64]]] = {}
        self._correlations: list[float] = []
        self._errors: list[float] = []
        self._generations = 0

    def add(self, reference: FloatArray, other: FloatArray, state: State) -> None:
        """Compare two sources' logits (M, V) of a state."""
        drawn = sampler.draw_tokens(reference, state.uniforms)
        measures = {
            "kl": fidelity.kl_divergence(reference, other),
            "total_variation": fidelity.total_variation(reference, other),
            "top1": fidelity.top_agreement(reference, other, 1),
            "top5": fidelity.top_agreement(reference, other, 5),
            "equal_draws": (drawn == sampler.draw_tokens(other, state.uniforms)).astype(np.float64),
        }
        for name, values in measures.items():
            self._rows.setdefault(name, []).append(values)
        if len(drawn) > 1:
            confidences = (sampler.log_probabilities(logits, drawn) for logits in (reference, other))
            self._correlations.append(fidelity.rank_correlation(*confidences))
        self._errors.append(fidelity.relative_error(reference, other))
        self._generations += state.step == 0

    def result(self) -> LogitFidelity:
        """Return what was collected; raises `ValueError` if that is nothing."""
        if not self._rows:
            raise ValueError("no state was compared")
        rows = {name: np.concatenate(parts) for name, parts in self._rows.items()}
        return LogitFidelity(
            generations=self._generations,
            rows=len(rows["kl"]),
            mean_kl=float(rows["kl"].mean()),
            max_kl=float(rows["kl"].max()),
            total_variation=float(rows["total_variation"].mean()),
            top1=float(rows["top1"].mean()),
            top5=float(rows["top5"].mean()),
            equal_draws=float(rows["equal_draws"].mean()),
            confidence_correlation=float(np.mean(self._correlations)) if self._correlations else 1.0,
            max_logit_error=max(self._errors),
        )


class PictureMeter:
    """Collects `PictureFidelity` over pictures."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._ratios: list[float] = []
        self._similarities: list[float] = []
        self._equal_codes: list[float] = []

    def add(self, reference: ImageArray, other: ImageArray, equal_codes: float) -> None:
        """Compare two decoded pictures (H, W, 3); `equal_codes` is of the encoders on the reference's."""
        self._errors.append(squared_error(reference, other))
        self._ratios.append(psnr(reference, other))
        if has_ssim(reference.shape):
            self._similarities.append(ssim(reference, other))
        self._equal_codes.append(equal_codes)

    def result(self) -> PictureFidelity:
        """Return what was collected; raises `ValueError` if that is nothing."""
        if not self._errors:
            raise ValueError("no picture was compared")
        error = float(np.mean(self._errors))
        return PictureFidelity(
            psnr=decibels(error) if error else None,
            worst_psnr=min(self._ratios) if error else None,
            ssim=float(np.mean(self._similarities)) if self._similarities else None,
            equal_codes=float(np.mean(self._equal_codes)),
        )


OnPicture = Callable[[int, int], None]
"""(picture that is drawn now, of how many)."""


def compare_bundles(
    reference: AmusedPipeline,
    others: Mapping[str, AmusedPipeline],
    prompts: Sequence[str],
    settings: SamplerSettings,
    *,
    seed: int = 0,
    on_picture: OnPicture | None = None,
) -> dict[str, Fidelity]:
    """Draw one picture per prompt with the reference and compare the others on every state and picture.

    Every bundle encodes and conditions the prompt itself, so that all of its graphs are measured.

    Parameters
    ----------
    others
        By names of yours, but "reference".
    prompts
        One or more.
    settings
        Of the loop; with guidance, the negative prompt is empty.
    """
    if _REFERENCE in others:
        raise ValueError(f"a bundle is named {quoted(_REFERENCE)}, which is the reference")
    logits = {name: LogitMeter() for name in others}
    pictures = {name: PictureMeter() for name in others}
    everyone = {_REFERENCE: reference, **others}
    for index, prompt in enumerate(prompts):
        if on_picture is not None:
            on_picture(index, len(prompts))
        sources = {name: logit_source(pipeline, prompt, settings) for name, pipeline in everyone.items()}
        for state in follow(sources, _REFERENCE, reference.geometry, settings, seed=seed, picture=index):
            for name, meter in logits.items():
                meter.add(state.logits[_REFERENCE], state.logits[name], state)
        grid = state.predicted[None]
        expected = reference.decode(grid)
        codes = reference.encode(expected)
        for name, meter_of_pictures in pictures.items():
            same = float(np.mean(others[name].encode(expected) == codes))
            meter_of_pictures.add(expected[0], others[name].decode(grid)[0], same)
    return {name: Fidelity(logits[name].result(), pictures[name].result()) for name in others}


def logit_source(pipeline: AmusedPipeline, prompt: str, settings: SamplerSettings) -> LogitSource:
    """Return a bundle's guided logits for a prompt."""
    conditioning = pipeline.condition(["", prompt] if settings.guided else [prompt])
    return lambda step, tokens, rows: pipeline.guided_logits(tokens, rows, conditioning, settings.guidance_at(step))
