"""Compares exported graphs with the checkpoint's torch modules; what is out of bounds raises, never warns.

Role by role on the trace's example inputs, then over a whole generation: the bundle draws a picture and the torch
modules are asked for the logits of every state it passes through (teacher forcing).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amused_edge.benchmarks.metrics.logits import relative_error
from amused_edge.benchmarks.subjects.teacher_forcing import LogitMeter, LogitSource, PictureMeter, follow, logit_source
from amused_edge.export.checkpoint.checkpoint import Checkpoint
from amused_edge.export.errors import CheckpointError, ParityError
from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.modules import conditioner
from amused_edge.export.modules.row_cache import RowCacheDenoiser
from amused_edge.export.modules.tensors import all_finite
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder
from amused_edge.runtime import golden_check
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.golden import GOLDEN_PROMPT, Golden, Tolerance
from amused_edge.runtime.bundle.measurements import LogitFidelity, PictureFidelity
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.engines import Graph
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings

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

_DIVERGED = "some of its weights are too large: check its training, or how it was converted"


@dataclass(frozen=True)
class ParityTolerances:
    """What depends on the precision in which graphs are computed.

    Attributes
    ----------
    floats
        Largest |difference| of a float output, relative to its largest |value|.
    mean_kl
        Of guided logits on masked rows over a generation, in nats.
    """

    floats: float = FLOAT_TOLERANCE
    mean_kl: float = KL_TOLERANCE


HALF_TOLERANCES = ParityTolerances(floats=5e-2, mean_kl=2e-3)
"""Of graphs that store and compute in halves."""


def check_role(
    spec: GraphSpec, module: nn.Module, graph: Graph, inputs: Inputs, tolerances: ParityTolerances | None = None
) -> dict[str, float]:
    """Compare one graph with its module on the same inputs.

    Returns
    -------
    Output name -> error: relative for floats, of 255 for pictures, share of differing codes for tokens.

    Raises
    ------
    CheckpointError
        The module itself computes NaN or infinity.
    ParityError
        An error is above its tolerance.
    """
    with torch.no_grad():
        result = module(**inputs)
    expected = result if isinstance(result, tuple) else (result,)
    _check_module(spec.role, module, inputs, expected)
    actual = graph({name: value.numpy() for name, value in inputs.items()})
    errors = {}
    for name, reference in zip(spec.outputs, expected, strict=True):
        error, tolerance = _error(reference.numpy(), actual[name], tolerances or ParityTolerances())
        if isinstance(module, ImageEncoder) and np.isfinite(error):
            _check_near_ties(module, inputs, actual[name])
        if not error <= tolerance:
            raise ParityError(
                f"{spec.role}: {name} differs from the checkpoint by {error:.3g}, allowed is {tolerance:.3g}; "
                "the exported graph is wrong, please report it with the versions of torch, onnxruntime and coremltools"
            )
        errors[name] = error
    return errors


def check_kept_rows(
    module: RowCacheDenoiser, graph: Graph, inputs: Inputs, tolerances: ParityTolerances | None = None
) -> None:
    """Compare a denoiser's graph with its module where half of the rows are kept; `inputs` are the plain denoiser's.

    Raises
    ------
    ParityError
        An error is above its tolerance.
    """
    example = module.example(inputs)
    with torch.no_grad():
        expected = module(**example)
    kept = example.pop("kept")
    given = zip(module.input_names, (*example.values(), *kept), strict=True)
    actual = graph({name: value.numpy() for name, value in given})
    for name, reference in zip(("logits", *module.kept_names), expected, strict=True):
        error, tolerance = _error(reference.numpy(), actual[name], tolerances or ParityTolerances())
        if not error <= tolerance:
            raise ParityError(
                f"denoiser: {name} differs by {error:.3g} where rows are kept, allowed is {tolerance:.3g}; the "
                "exported graph is wrong, please report it with the versions of torch and onnxruntime"
            )


def check_generation(
    checkpoint: Checkpoint,
    pipeline: AmusedPipeline,
    tolerances: ParityTolerances | None = None,
    golden_tolerance: Tolerance | None = None,
) -> tuple[LogitFidelity, PictureFidelity, Golden]:
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
    sources = {
        "bundle": logit_source(pipeline, GOLDEN_PROMPT, settings),
        "torch": _torch_source(checkpoint, pipeline, settings),
    }
    meter = LogitMeter()
    for state in follow(sources, "bundle", pipeline.geometry, settings):
        meter.add(state.logits["torch"], state.logits["bundle"], state)
    tokens = state.predicted[None]
    logits, pictures = meter.result(), PictureMeter()
    picture = pipeline.decode(tokens)
    with torch.no_grad():
        expected = checkpoint.image_decoder()(torch.from_numpy(tokens)).numpy()
        codes = checkpoint.image_encoder()(torch.from_numpy(picture)).numpy()
    pictures.add(expected[0], picture[0], float(np.mean(pipeline.encode(picture) == codes)))
    pixel_error = int(np.abs(expected.astype(int) - picture.astype(int)).max())
    allowed = (tolerances or ParityTolerances()).mean_kl
    if not logits.mean_kl <= allowed or pixel_error > PIXEL_TOLERANCE:
        raise ParityError(
            f"a whole generation differs from the checkpoint: mean KL {logits.mean_kl:.3g} nats "
            f"(allowed {allowed:.3g}), pixels by {pixel_error} of 255 (allowed {PIXEL_TOLERANCE})"
        )
    return logits, pictures.result(), golden_check.describe(pipeline, GOLDEN_PROMPT, tokens, picture, golden_tolerance)


def _torch_source(checkpoint: Checkpoint, pipeline: AmusedPipeline, settings: SamplerSettings) -> LogitSource:
    """Return the torch modules' guided logits of the golden prompt, from its ids on."""
    prompts = ["", GOLDEN_PROMPT] if settings.guided else [GOLDEN_PROMPT]
    ids = torch.from_numpy(pipeline.tokenizer(prompts))
    micro = torch.from_numpy(pipeline.micro_conditions).expand(len(prompts), -1)
    with torch.no_grad():
        outputs = checkpoint.conditioner()(*checkpoint.text_encoder()(ids), micro)
    conditioning = dict(zip(conditioner.OUTPUTS, outputs, strict=True))
    denoiser = checkpoint.denoiser()

    def logits(step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
        batch = torch.from_numpy(np.stack([tokens] * len(prompts)))
        with torch.no_grad():
            branches: FloatArray = denoiser(batch, **conditioning).numpy()[:, rows]
        return guided(list(branches), settings.guidance_at(step))

    return logits


def _error(reference: NDArray[Any], actual: NDArray[Any], tolerances: ParityTolerances) -> tuple[float, float]:
    """Return (error, tolerance) in the measure of the output's dtype."""
    if reference.shape != actual.shape:
        return float("inf"), 0.0
    if reference.dtype == np.uint8:
        return float(np.abs(reference.astype(int) - actual.astype(int)).max()), PIXEL_TOLERANCE
    if np.issubdtype(reference.dtype, np.integer):
        return float(np.mean(reference != actual)), max(CODE_TOLERANCE, NEAR_TIES / reference.size)
    return relative_error(reference, actual), tolerances.floats


def _check_module(role: str, module: nn.Module, inputs: Inputs, outputs: tuple[torch.Tensor, ...]) -> None:
    """What the checkpoint itself computes must be finite: whole numbers made of NaN compare as equal.

    Its own weights are finite, as they were read; what is folded from them, and what comes of them, may be too large.
    """
    for name, value in module.named_parameters():
        if not all_finite(value):
            raise CheckpointError(f"{role}: {name} has values beyond the range of float32; {_DIVERGED}")
    if isinstance(module, ImageDecoder | ImageEncoder):
        with torch.no_grad():
            outputs = (module.floats(**inputs),)
    if not all(all_finite(value) for value in outputs):
        raise CheckpointError(f"{role}: the checkpoint's own network computes NaN or infinity; {_DIVERGED}")


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
