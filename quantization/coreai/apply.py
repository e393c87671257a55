"""Puts few bits in the place of a package's weights. Its arithmetic stays: weights are expanded where they are used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.coreai import package as program
from amused_edge.quantization.coreai.package import Package
from amused_edge.quantization.coreai.weights import CHANNELS, PackageWeight, find_weights
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.feedback_palettes import feedback_palettes
from amused_edge.quantization.rounding.palettes import palette
from amused_edge.quantization.rounding.ranges import Range
from amused_edge.quantization.rounding.uniform import Blocks, blocks, feedback_blocks, rounding_error
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.checks import present
from amused_edge.runtime.errors import quoted

_MIDDLE = 128
"""Zero of unsigned 8-bit codes: 0 of signed ones."""


@dataclass(frozen=True)
class Observations:
    """What calibration saw of one graph.

    Attributes
    ----------
    products
        Weight -> X^T X (K, K) of the inputs X of all of its products.
    ranges
        Weight -> range of the inputs of each of its products.
    """

    products: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Range, ...]] = field(default_factory=dict)


def compress(source: Path, out: Path, rules: Mapping[str, Rule], observed: Observations) -> dict[str, TensorFormat]:
    """Write the package `out`: that of `source` with its weights as their rules say, by name.

    Returns
    -------
    What each weight became, as it stands in the package that was written.

    Raises
    ------
    QuantizationError
        A value is not finite; or a weight was not written as asked.
    """
    values = write(source, out, rules, observed)
    made = find_weights(Package(out))
    return {name: _format(made.get(name), rules[name], value) for name, value in values.items()}


def write(
    source: Path, out: Path, rules: Mapping[str, Rule], observed: Observations
) -> dict[str, NDArray[np.floating]]:
    """Write the package `out` as `compress` does; weights without a rule stay. Return what the others were."""
    package = Package(source)
    weights = {name: weight for name, weight in find_weights(package).items() if name in rules}
    values = {name: weight.value for name, weight in weights.items()}
    with package.editing():
        for name, weight in weights.items():
            rewrite(weight, values[name], rules[name], observed)
    package.save(out)
    return values


def rewrite(weight: PackageWeight, value: NDArray[np.floating], rule: Rule, observed: Observations) -> None:
    """Change one weight, and what it meets, as a rule says."""
    if rule.activations == "static":
        _round_inputs(weight, observed.ranges[weight.name])
    if rule.bits == 32:
        return
    with program.before(weight.source):
        expand = _palettes if rule.palette else _blocks
        made = expand(weight, value, rule, observed.products.get(weight.name))
    program.replace(weight.source, made)


def _round_inputs(weight: PackageWeight, ranges: Sequence[Range]) -> None:
    """Give a weight's products inputs of 8 bits."""
    for product, seen in zip(weight.products, ranges, strict=True):
        with program.before(product):
            product.operands[0] = program.rounded(product.operands[0], seen.scale, seen.zero_point - _MIDDLE)


def _palettes(
    weight: PackageWeight, value: NDArray[np.floating], rule: Rule, hessian: NDArray[np.float64] | None
) -> Any:
    """One palette for the weight, or one per group of output channels."""
    axis = CHANNELS[weight.operator]
    rows = np.moveaxis(value, axis, 0)
    if rule.rounding == "feedback":
        moments = present(hessian, "calibration")
        found = feedback_palettes(np.ascontiguousarray(rows), moments, rule.bits, rule.group)
    else:
        found = [palette(part, rule.bits) for part in np.split(rows, len(rows) // (rule.group or len(rows)))]
    shape = [len(found) if i == axis else 1 for i in range(value.ndim)]
    values = np.stack([each.values for each in found]).reshape(*shape, 2**rule.bits, 1)
    indices = np.moveaxis(np.concatenate([each.indices for each in found]).reshape(rows.shape), 0, axis)
    return program.looked_up(program.whole_constant(indices, rule.bits), program.float_constant(values))


def _blocks(weight: PackageWeight, value: NDArray[np.floating], rule: Rule, hessian: NDArray[np.float64] | None) -> Any:
    """One scale per output channel, or per block of a matmul's inputs."""
    codes, scales, zeros = scaled_codes(value, weight.operator == "matmul", rule, hessian)
    zero_points = None if zeros is None else program.whole_constant(zeros, rule.bits)
    whole, steps = program.whole_constant(codes, rule.bits), program.float_constant(scales)
    return program.scaled(whole, steps, zero_points, weight.source.results[0])


def scaled_codes(
    value: NDArray[np.floating], matmul: bool, rule: Rule, hessian: NDArray[np.float64] | None = None
) -> tuple[NDArray[Any], NDArray[np.floating], NDArray[Any] | None]:
    """Round a weight to codes with scales.

    Without a block, and of tables and convolutions, each output channel or row has a symmetric grid of whole numbers
    around 0; blocks have a zero point of their own unless the rule says symmetric.

    Returns
    -------
    Codes of the weight's shape (int8, or uint8 with zero points); scales in its type, shape (blocks or 1, out) of a
    matmul, (out, 1...) else; zero points of the scales' shape or None.
    """
    matrix = (value if matmul else value.reshape(len(value), -1).T).astype(np.float32)
    size, symmetric = rule.block or len(matrix), rule.symmetric or rule.block is None
    if rule.rounding == "feedback":
        found = feedback_blocks(matrix, present(hessian, "calibration"), rule.bits, size, symmetric=symmetric)
    else:
        found = blocks(matrix, rule.bits, size, symmetric=symmetric)
    scales: NDArray[np.floating] = found.scales
    codes = found.codes
    if value.dtype == np.float16:
        scales = np.maximum(scales.astype(np.float16), np.finfo(np.float16).smallest_subnormal)
        if rule.rounding == "nearest":  # to what scales give that are halves themselves
            codes = _nearest(matrix, scales, found)
    zeros = None if symmetric else found.zero_points.T
    whole = codes.reshape(len(codes), -1).T
    if symmetric:
        whole = (whole.astype(np.int16) - 2 ** (rule.bits - 1)).astype(np.int8)
    if matmul:
        return whole, scales.T, zeros
    return whole.T.reshape(value.shape), scales.reshape(-1, *(1,) * (value.ndim - 1)), None


def _nearest(matrix: NDArray[np.float32], scales: NDArray[np.floating], found: Blocks) -> NDArray[np.uint8]:
    steps = matrix.T.reshape(found.codes.shape) / scales[..., None].astype(np.float32)
    whole = np.clip(np.rint(steps) + found.zero_points[..., None], 0, 2**found.bits - 1)
    return whole.astype(np.uint8)


def _format(weight: PackageWeight | None, rule: Rule, before: NDArray[np.floating]) -> TensorFormat:
    """Say what a weight became, from the package as it was written."""
    width = before.dtype.itemsize * 8
    asked = (width if rule.bits == 32 else rule.bits, "palette" if rule.palette else "scaled")
    if weight is None or (weight.bits, weight.codes) != asked or weight.shape != before.shape:
        raise QuantizationError(
            f"a weight was not written as rule {quoted(rule.tensors)} says; use the coreai-core that amused-edge names"
        )
    error = rounding_error(before, weight.value)
    return TensorFormat(weight.bits, weight.block, weight.activations, weight.kind, error, weight.codes)
