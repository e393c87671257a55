"""Compresses the weights of a Core ML package: coremltools writes the formats, the values are chosen here."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.coreml.calibration import Moments
from amused_edge.quantization.coreml.weights import ProgramWeight
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.feedback_palettes import feedback_palettes
from amused_edge.quantization.rounding.palettes import Palette, palette
from amused_edge.quantization.rounding.uniform import rounding_error
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.engines.coreml.program import Name, Program, load
from amused_edge.runtime.engines.coreml.quiet_coremltools import ct, mil_convert
from amused_edge.runtime.engines.coreml.saving import converting, save_package
from amused_edge.runtime.errors import quoted

compression = ct.optimize.coreml


def compress(
    source: Path, out: Path, weights: dict[str, ProgramWeight], rules: dict[str, Rule], seen: Moments
) -> dict[str, TensorFormat]:
    """Write the package `out`: that of `source` with its weights as their rules say.

    Parameters
    ----------
    seen
        What calibration saw of the values that weights with feedback are multiplied with.

    Returns
    -------
    What each weight became.

    Raises
    ------
    QuantizationError
        A weight was not compressed as asked.
    """
    palettes = {name: _palettes(weights[name], rules[name], seen) for name in weights if rules[name].palette}
    scaled = {name: _scales(rules[name]) for name in weights if rules[name].bits < 32 and not rules[name].palette}
    with converting(out.parent):
        program, spec = load(source)
        model = mil_convert(
            program,
            convert_from="milinternal",
            convert_to="mlprogram",
            compute_units=ct.ComputeUnit.ALL,
            specification_version=spec.specificationVersion,
            model_description=spec.description,
            pass_pipeline=_passes(scaled, palettes),
            skip_model_load=True,
        )
        made = save_package(model, out)
    return {name: _format(weight, rules[name], made) for name, weight in weights.items()}


def _passes(scaled: dict[str, Any], palettes: dict[str, Any]) -> Any:
    """Return the passes that compress, and what stores equal constants once. All others ran when it was exported; again
    they would take two thirds of the time, and put casts in once more.
    """
    configs = {"linear_quantize_weights": scaled, "palettize_weights": palettes}
    names = {f"compression::{name}": config for name, config in configs.items() if config}
    passes = ct.PassPipeline([*names, "common::const_deduplication", "common::dead_code_elimination"], "compression")
    for name, config in names.items():
        passes.set_options(name, {"config": compression.OptimizationConfig(op_name_configs=config)})
    return passes


def _scales(rule: Rule) -> Any:
    """One scale per output channel, or per block of inputs."""
    blocks = {"granularity": "per_block", "block_size": rule.block} if rule.block else {"granularity": "per_channel"}
    return compression.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype=f"int{rule.bits}", weight_threshold=0, **blocks
    )


def _palettes(weight: ProgramWeight, rule: Rule, seen: Moments) -> Any:
    """One palette for the weight, or one per group of output channels: coremltools asks for each by its values."""
    known = [seen[name] for name in weight.inputs if name in seen]
    ready: dict[bytes, Palette] = {}
    if rule.rounding == "feedback" and known:
        hessian: NDArray[np.float64] = np.sum(known, axis=0)
        parts = np.split(weight.value, len(weight.value) // (rule.group or len(weight.value)))
        made = feedback_palettes(weight.value, hessian, rule.bits, rule.group)
        ready = {part.tobytes(): found for part, found in zip(parts, made, strict=True)}

    def choose(part: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
        found = ready.get(part.tobytes()) or palette(part, rule.bits)
        return found.values, found.indices.reshape(-1)

    groups = {"granularity": "per_grouped_channel", "group_size": rule.group} if rule.group else {}
    return compression.OpPalettizerConfig(mode="custom", lut_function=choose, weight_threshold=0, **groups)


def _format(weight: ProgramWeight, rule: Rule, made: Program) -> TensorFormat:
    """Say what a weight became, from the package as it was written."""
    user, parameter = weight.place
    arguments = next((op.arguments for op in made.operations if op.name == user), {})
    reference = arguments.get(parameter)
    constant = made.constants.get(reference.name) if isinstance(reference, Name) else None
    if constant is None or (constant.stored == "const") != (rule.bits == 32):
        raise QuantizationError(f"{weight.name} was not written as rule {quoted(rule.tensors)} says; use coremltools 9")
    width = 16 if weight.value.dtype == np.float16 else 32
    return TensorFormat(
        bits=width if rule.bits == 32 else rule.bits,
        block=rule.group if rule.palette else rule.block,
        activations=f"float{width}",
        operator=weight.kind,
        error=rounding_error(weight.value, constant.value),
        codes="palette" if rule.palette else "scaled",
    )
