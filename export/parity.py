"""Compares exported graphs with the checkpoint's torch modules; what is out of bounds raises, never warns.

Role by role on the trace's example inputs, then over a whole generation: the bundle draws a picture and the torch
modules are asked for the logits of every state it passes through (teacher forcing).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amused_edge.benchmarks.fidelity import kl_divergence, relative_error
from amused_edge.benchmarks.images import psnr
from amused_edge.export.checkpoint import Checkpoint
from amused_edge.export.errors import ParityError
from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.modules import conditioner
from amused_edge.export.modules.vqgan import ImageEncoder
from amused_edge.runtime import golden, sampler
from amused_edge.runtime.engines import Graph
from amused_edge.runtime.golden import GOLDEN_PROMPT, Golden
from amused_edge.runtime.manifest import GenerationParity
from amused_edge.runtime.mask_predict import mask_predict
from amused_edge.runtime.options import GenerationOptions
from amused_edge.runtime.philox import Purpose, uniforms
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampler import FloatArray, IntArray

FLOAT_TOLERANCE = 1e-4
"""Largest |difference| of a float output, relative to its largest |value|."""

PIXEL_TOLERANCE = 1
"""Largest difference of a picture, of 255."""

CODE_TOLERANCE = 1e-3
"""Largest share of codes that differ; each must be a near-tie besides."""

NEAR_TIES = 3
"""Codes that may differ however few there are."""

TIE_TOLERANCE = 1e-4
"""Largest relative difference of two distances that counts as a tie."""

KL_TOLERANCE = 1e-4
"""Largest mean KL of guided logits on masked rows over a generation, in nats."""


def check_role(spec: GraphSpec, module: nn.Module, graph: Graph, inputs: Inputs) -> dict[str, float]:
    """Compare one graph with its module on the same inputs.

    Returns
    -------
    Output name -> error: relative for floats, of 255 for pictures, share of differing codes for tokens.

    Raises
    ------
    ParityError
        An error is above its tolerance.
    """
    with torch.no_grad():
        result = module(**inputs)
    expected = result if isinstance(result, tuple) else (result,)
    actual = graph({name: value.numpy() for name, value in inputs.items()})
    errors = {}
    for name, reference in zip(spec.outputs, expected, strict=True):
        error, tolerance = _error(reference.numpy(), actual[name])
        if isinstance(module, ImageEncoder) and np.isfinite(error):
            _check_near_ties(module, inputs, actual[name])
        if not error <= tolerance:
            raise ParityError(
                f"{spec.role}: {name} differs from the checkpoint by {error:.3g}, allowed is {tolerance:.3g}; "
                "the exported graph is wrong, please report it with the versions of torch and onnxruntime"
            )
        errors[name] = error
    return errors


def check_generation(checkpoint: Checkpoint, pipeline: AmusedPipeline) -> tuple[GenerationParity, Golden]:
    """Draw the golden prompt with the bundle and compare every state's logits, and the picture, with the torch modules.

    Returns
    -------
    What was measured, and the golden output, which is what was drawn.

    Raises
    ------
    ParityError
        Mean KL or the picture's difference is above its tolerance.
    """
    settings = pipeline.settings(GenerationOptions())
    prompts = ["", GOLDEN_PROMPT] if settings.guided else [GOLDEN_PROMPT]
    comparison = _Comparison(pipeline, checkpoint, prompts, settings.guidance_scale)
    geometry = pipeline.geometry
    start = np.full((1, geometry.grid_height, geometry.grid_width), geometry.mask_token_id)
    *_, last = mask_predict(
        comparison.denoise,
        start,
        [0],
        seed=0,
        settings=settings,
        mask_token_id=geometry.mask_token_id,
    )
    with torch.no_grad():
        expected = checkpoint.image_decoder()(torch.from_numpy(last.tokens)).numpy()
    picture = pipeline.decode(last.tokens)
    return comparison.report(expected, picture), golden.describe(pipeline, GOLDEN_PROMPT, last.tokens, picture)


class _Comparison:
    """Answers the loop with the bundle's logits and notes how far the torch modules' are."""

    def __init__(self, pipeline: AmusedPipeline, checkpoint: Checkpoint, prompts: list[str], scale: float) -> None:
        self._scale = scale
        ids = pipeline.tokenizer(prompts)
        micro = pipeline.micro_conditions
        self._engine_inputs = pipeline.condition(prompts)
        with torch.no_grad():
            text = checkpoint.text_encoder()(torch.from_numpy(ids))
            micro_conditions = torch.from_numpy(micro).expand(len(prompts), -1)
            outputs = checkpoint.conditioner()(*text, micro_conditions)
        self._torch_inputs = dict(zip(conditioner.OUTPUTS, outputs, strict=True))
        self._torch_denoiser = checkpoint.denoiser()
        self._engine_denoiser = pipeline.graph("denoiser")
        self._kl: list[NDArray[np.float64]] = []
        self._errors: list[float] = []
        self._equal: list[NDArray[np.bool_]] = []

    def denoise(self, index: int, tokens: IntArray, rows: IntArray) -> FloatArray:
        branches = len(self._engine_inputs["block_keys"])
        batch = np.stack([tokens] * branches)
        engine = self._engine_denoiser({"tokens": batch, **self._engine_inputs})["logits"]
        with torch.no_grad():
            reference = self._torch_denoiser(torch.from_numpy(batch), **self._torch_inputs).numpy()
        ours, theirs = self._guided(engine, rows), self._guided(reference, rows)
        self._kl.append(kl_divergence(theirs, ours))
        self._errors.append(relative_error(theirs, ours))
        self._equal.append(self._draw(ours, rows, tokens.size) == self._draw(theirs, rows, tokens.size))
        return ours

    def _guided(self, logits: FloatArray, rows: IntArray) -> FloatArray:
        branches: list[FloatArray] = list(logits[:, rows])
        return branches[0] if len(branches) == 1 else sampler.guide(branches[0], branches[1], self._scale)

    def _draw(self, logits: FloatArray, rows: IntArray, positions: int) -> IntArray:
        codes = logits.shape[1]
        step = len(self._equal)
        noise = uniforms(positions * codes, seed=0, picture=0, step=step, purpose=Purpose.TOKENS)
        return sampler.draw_tokens(logits, noise.reshape(positions, codes)[rows])

    def report(self, expected: NDArray[np.uint8], picture: NDArray[np.uint8]) -> GenerationParity:
        kl = np.concatenate(self._kl)
        ratio = psnr(expected, picture)
        parity = GenerationParity(
            steps=len(self._errors),
            mean_kl=float(kl.mean()),
            max_kl=float(kl.max()),
            max_logit_error=max(self._errors),
            equal_draws=float(np.concatenate(self._equal).mean()),
            picture_psnr=None if np.isinf(ratio) else ratio,
        )
        pixel_error = int(np.abs(expected.astype(int) - picture.astype(int)).max())
        if not parity.mean_kl <= KL_TOLERANCE or pixel_error > PIXEL_TOLERANCE:
            raise ParityError(
                f"a whole generation differs from the checkpoint: mean KL {parity.mean_kl:.3g} nats "
                f"(allowed {KL_TOLERANCE:.3g}), pixels by {pixel_error} of 255 (allowed {PIXEL_TOLERANCE})"
            )
        return parity


def _error(reference: NDArray[Any], actual: NDArray[Any]) -> tuple[float, float]:
    """Return (error, tolerance) in the measure of the output's dtype."""
    if reference.shape != actual.shape:
        return float("inf"), 0.0
    if reference.dtype == np.uint8:
        return float(np.abs(reference.astype(int) - actual.astype(int)).max()), PIXEL_TOLERANCE
    if np.issubdtype(reference.dtype, np.integer):
        return float(np.mean(reference != actual)), max(CODE_TOLERANCE, NEAR_TIES / reference.size)
    return relative_error(reference, actual), FLOAT_TOLERANCE


def _check_near_ties(module: ImageEncoder, inputs: Inputs, actual: NDArray[Any]) -> None:
    """A code that differs from the checkpoint's must be as near to the latent, up to rounding."""
    with torch.no_grad():
        distances = module.distances(inputs["image"]).numpy()
    codes = distances.shape[-1]
    if actual.min() < 0 or actual.max() >= codes:
        raise ParityError(f"image_encoder chose codes from {actual.min()} to {actual.max()}, there are {codes}")
    nearest = distances.min(-1)
    chosen = np.take_along_axis(distances, actual[..., None], -1)[..., 0]
    gap = float(((chosen - nearest) / np.maximum(nearest, 1e-12)).max())
    if gap > TIE_TOLERANCE:
        raise ParityError(f"image_encoder chose a code whose distance is {gap:.3g} above the nearest one's")
