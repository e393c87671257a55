"""What weights become in Core AI packages: stored as the recipe says in float64 NumPy, and executed as stored."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from coreai._compiler._mlir_libs._coreaiIR._bindings.compiler import copy_constant_value_to_array
from numpy.typing import NDArray

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.graphs import GRAPHS
from amused_edge.quantization.coreai.apply import Observations, compress
from amused_edge.quantization.coreai.package import Package
from amused_edge.quantization.coreai.plan import PlannedWeight
from amused_edge.quantization.coreai.trials import CoreAITrials, stored_bytes
from amused_edge.quantization.coreai.weights import PackageWeight, find_weights
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.ranges import Range
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from tests.support.coreai import execute, needs_coreai

pytestmark = needs_coreai

Array = NDArray[Any]
CHANNEL_AXES = {"matmul": 1, "conv": 0, "table": 0}

RULES = {
    "channels": Rule("*", bits=8),
    "blocks": Rule("*", bits=8, block=16),
    "symmetric blocks": Rule("*", bits=4, block=16, symmetric=True),
    "four bits": Rule("*", bits=4, block=16),
    "palette": Rule("*", bits=4, palette=True),
    "palettes": Rule("*", bits=6, palette=True, group=8),
}


def rule_for(kind: str, place: int, weight: PackageWeight) -> Rule:
    """Blocks and groups where the axes can be shared out, as the plan has it; "all": one kind after the other."""
    rule = list(RULES.values())[place % len(RULES)] if kind == "all" else RULES[kind]
    if rule.block is not None and (weight.operator != "matmul" or weight.shape[0] % rule.block):
        rule = replace(rule, block=None)
    return replace(rule, group=None) if rule.group is not None and weight.outputs % rule.group else rule


class Made(NamedTuple):
    """A package by rules, and the one it was made of."""

    path: Path
    formats: dict[str, TensorFormat]
    rules: dict[str, Rule]
    before: dict[str, PackageWeight]
    after: dict[str, PackageWeight]


@pytest.fixture(scope="module")
def parents(floats: Bundle, halves: Bundle) -> dict[str, Bundle]:
    return {"float32": floats, "float16": halves}


@pytest.fixture(scope="module")
def made(parents: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return `made(precision, role, kind)`, made once."""

    @cache
    def make(precision: str, role: str, kind: str) -> Made:
        source = parents[precision].path / f"{role}.aimodel"
        before = find_weights(Package(source))
        rules = {name: rule_for(kind, place, weight) for place, (name, weight) in enumerate(before.items())}
        path = tmp_path_factory.mktemp("made") / f"{role}.aimodel"
        formats = compress(source, path, rules, Observations())
        return Made(path, formats, rules, before, find_weights(Package(path)))

    return make


CASES = [("float32", "denoiser", kind) for kind in RULES] + [("float16", "denoiser", kind) for kind in RULES]
CASES += [("float32", "text_encoder", "channels"), ("float16", "image_decoder", "channels")]


def vendor_values(operand: Any) -> Array:
    """A constant's values as Core AI copies them; whole numbers of few bits by Python's integers."""
    kind = operand.type
    name, shape = str(kind.element_type), tuple(kind.shape)
    bits, count = int(name.lstrip("suif")), int(np.prod(shape))
    data = np.zeros(-(-count * bits // 8), np.uint8)
    copy_constant_value_to_array(constant_op=operand.owner, destination=data)
    if name.startswith("f"):
        return data.view(f"<f{bits // 8}").reshape(shape).astype(np.float64)
    stream = int.from_bytes(data.tobytes(), "little")
    codes = [(stream >> (bits * i)) & (2**bits - 1) for i in range(count)]
    signed = [code - 2**bits if name[0] == "s" and code >= 2 ** (bits - 1) else code for code in codes]
    return np.array(signed, np.float64).reshape(shape)


def spread(values: Array, shape: tuple[int, ...]) -> Array:
    for axis, side in enumerate(shape):
        values = np.repeat(values, side // values.shape[axis], axis)
    return values


def check_scaled(weight: PackageWeight, before: Array, rule: Rule) -> None:
    """Codes are the nearest, scales those of the recipe, in float64."""
    codes, scales, zeros, offsets = (vendor_values(operand) for operand in weight.source.operands)
    axis = CHANNEL_AXES[weight.operator]
    wide = np.moveaxis(before.astype(np.float64), axis, 0).reshape(before.shape[axis], -1)
    size = rule.block or wide.shape[1]
    pieces = wide.reshape(len(wide), -1, size)
    if rule.block is None or rule.symmetric:
        steps, origin = np.abs(pieces).max(-1) / (2 ** (rule.bits - 1) - 1), 0.0 * pieces[..., 0]
        low, high = -(2 ** (rule.bits - 1)), 2 ** (rule.bits - 1) - 1
    else:
        bottom, top = np.minimum(pieces.min(-1), 0), np.maximum(pieces.max(-1), 0)
        steps = (top - bottom) / (2**rule.bits - 1)
        origin, low, high = np.rint(-bottom / np.where(steps > 0, steps, 1)), 0, 2**rule.bits - 1
    steps = np.where(steps == 0, 1, steps)
    found = scales.T if weight.operator == "matmul" else scales.reshape(len(wide), -1)
    assert np.allclose(found, steps, rtol=2**-10 if before.dtype == np.float16 else 1e-6)
    assert np.array_equal(zeros.T if weight.operator == "matmul" else zeros.reshape(len(wide), -1), origin)
    assert not offsets.any()
    nearest = np.clip(np.rint(pieces / found[..., None]) + origin[..., None], low, high)
    moved = np.moveaxis(codes, axis, 0).reshape(pieces.shape)
    apart = np.abs(moved - nearest)
    ties = np.abs(np.abs(pieces / found[..., None]) % 1 - 0.5) < 1e-4  # float32 may see them on the other side
    assert (apart <= ties).all()


def check_palettes(weight: PackageWeight, before: Array, rule: Rule) -> None:
    """Each value is the nearest of its palette's."""
    indices, palettes = (vendor_values(operand) for operand in list(weight.source.operands)[:2])
    values = spread(palettes[..., 0], (*weight.shape, 2**rule.bits))
    distances = np.abs(values - before.astype(np.float64)[..., None])
    chosen = np.take_along_axis(distances, indices[..., None].astype(int), -1)[..., 0]
    assert np.array_equal(chosen, distances.min(-1))
    assert palettes.shape[CHANNEL_AXES[weight.operator]] == (1 if rule.group is None else weight.outputs // rule.group)


@pytest.mark.parametrize(("precision", "role", "kind"), CASES)
def test_a_package_stores_what_float64_gives(made: Any, precision: str, role: str, kind: str) -> None:
    found: Made = made(precision, role, kind)
    assert found.after.keys() == found.before.keys()
    assert {weight.operator for weight in found.after.values()} >= {"matmul", "table"} - {"matmul" * (role[0] == "i")}
    for name, weight in found.after.items():
        check = check_palettes if found.rules[name].palette else check_scaled
        check(weight, found.before[name].value, found.rules[name])


@pytest.mark.parametrize(("precision", "role", "kind"), CASES)
def test_the_formats_are_those_of_the_package(made: Any, precision: str, role: str, kind: str) -> None:
    found: Made = made(precision, role, kind)
    width = 32 if precision == "float32" or role == "image_decoder" else 16
    for name, written in found.formats.items():
        rule, before = found.rules[name], found.before[name].value.astype(np.float64)
        grouped = rule.group if rule.palette else rule.block
        whole = found.before[name].outputs if rule.palette else len(before)
        grouped = None if grouped == whole else grouped  # one group is all there is
        assert (written.bits, written.codes, written.block) == (
            rule.bits,
            "palette" if rule.palette else "scaled",
            grouped,
        ), name
        assert written.activations == f"float{width}"
        after = found.after[name].value.astype(np.float64)
        assert written.error == pytest.approx(np.sqrt(((after - before) ** 2).mean() / (before**2).mean()), rel=1e-6)


def test_the_runtime_computes_with_what_is_stored(made: Any, floats: Bundle, halves: Bundle) -> None:
    """The module of torch, with the values that the package stores as its parameters, is the oracle. Every kind is
    there, each for some weights.
    """
    found: Made = made("float32", "denoiser", "all")
    kinds = {(rule.bits, rule.block, rule.symmetric, rule.palette, rule.group) for rule in found.rules.values()}
    assert kinds >= {(rule.bits, rule.block, rule.symmetric, rule.palette, rule.group) for rule in RULES.values()}
    checkpoint = open_checkpoint(halves.path.parent / "checkpoint")
    (spec,) = (spec for spec in GRAPHS if spec.role == "denoiser")
    module = spec.build(checkpoint).eval()
    inputs = spec.example(checkpoint, floats.manifest.geometry, 2)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        plain = module(**inputs)[1].numpy()
        for name, weight in found.after.items():
            parameters[name].copy_(torch.from_numpy(weight.value.reshape(parameters[name].shape)))
        expected = module(**inputs)[1].numpy()
    got = execute(found.path, inputs, 1)["logits"][0]
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.abs(plain - expected).max() > 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize(("precision", "role", "kind"), CASES)
def test_bytes_are_known_before(made: Any, parents: dict[str, Bundle], precision: str, role: str, kind: str) -> None:
    """A program grows or shrinks by what its weights take, and some room for each change."""
    found: Made = made(precision, role, kind)
    source = parents[precision].path / f"{role}.aimodel"
    grown = (found.path / "main.mlirb").stat().st_size - (source / "main.mlirb").stat().st_size
    foreseen = 0
    for name, weight in found.before.items():
        planned = PlannedWeight.of(weight)
        foreseen += stored_bytes(planned, found.rules[name]) - stored_bytes(planned, Rule(name))
    assert foreseen <= grown <= foreseen + CoreAITrials.description_bytes * len(found.rules)


def test_nothing_else_of_a_program_changes(made: Any, floats: Bundle) -> None:
    found: Made = made("float32", "denoiser", "channels")
    before, after = (
        [op.name for op in Package(path).operations()] for path in (floats.path / "denoiser.aimodel", found.path)
    )
    added = ("coreai.constant", "coreai.blockwise_shift_scale")
    assert [name for name in after if name not in added] == [name for name in before if name not in added]


def test_the_same_package_twice(made: Any, floats: Bundle, tmp_path: Path) -> None:
    found: Made = made("float32", "denoiser", "channels")
    compress(floats.path / "denoiser.aimodel", tmp_path / "denoiser.aimodel", found.rules, Observations())
    for name in ("main.mlirb", "main.hash", "metadata.json"):
        assert (tmp_path / "denoiser.aimodel" / name).read_bytes() == (found.path / name).read_bytes()
    assert list(json.loads((found.path / "metadata.json").read_text())) == ["assetVersion", "producer"]


def test_inputs_of_eight_bits(floats: Bundle, halves: Bundle, tmp_path: Path) -> None:
    """What the text's projection meets is made an output; from there on NumPy in float64 goes on."""
    source, name = floats.path / "text_encoder.aimodel", "text_projection.weight"
    package = Package(source)
    weights = find_weights(package)
    (product,) = weights[name].products
    package.give_out({"met": product.operands[0]})
    package.save(tmp_path / "shown.aimodel")
    (spec,) = (spec for spec in GRAPHS if spec.role == "text_encoder")
    checkpoint = open_checkpoint(halves.path.parent / "checkpoint")
    inputs = spec.example(checkpoint, floats.manifest.geometry, 2)
    met = execute(tmp_path / "shown.aimodel", inputs, 0)["met"].astype(np.float64)
    seen = Range.of(float(met.min()) * 0.8, float(met.max()))  # some values lie outside
    rules = {other: Rule("*") for other in weights} | {name: Rule("*", bits=8, activations="static")}
    formats = compress(source, tmp_path / "made.aimodel", rules, Observations({}, {name: (seen,)}))
    assert formats[name].activations == "static int8"
    codes = np.clip(np.rint(met / seen.scale) + seen.zero_point, 0, 255) - seen.zero_point
    made = find_weights(Package(tmp_path / "made.aimodel"))[name].value.astype(np.float64)
    expected = codes * seen.scale @ made
    got = execute(tmp_path / "made.aimodel", inputs, 0)["pooled"]
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(met @ made - expected).max() > 1e-3 * np.abs(expected).max()
