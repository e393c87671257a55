"""Core ML bundles by recipes: what weights became, in the manifest and in the packages, and what is refused."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization import account
from amused_edge.quantization.coreml.target import CoreMLQuantizationTarget
from amused_edge.quantization.quantize import QuantizeOptions
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry, TensorFormat
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines.coreml.program import Name, Program, read_program

ONE = QuantizeOptions(["a fox"], fidelity_prompts=1)
Array = NDArray[Any]


class Made(NamedTuple):
    """A graph by a recipe: the manifest's entry, and the programs before and after."""

    entry: GraphEntry
    before: Program
    after: Program

    def weight(self, name: str) -> tuple[Array, Array, str]:
        """What a weight was and what stands in its place now, and how it is stored."""
        for op in self.before.operations:
            for parameter, argument in op.arguments.items():
                if isinstance(argument, Name) and argument.name == name:
                    user = next(o for o in self.after.operations if o.name == op.name)
                    constant = self.after.constants[user.arguments[parameter].name]
                    return self.before.constants[name].value, constant.value, constant.stored
        raise AssertionError(name)


def write(parent: Bundle, role: str, recipe: Recipe, folder: Path) -> Made:
    entry = CoreMLQuantizationTarget(parent, recipe).write(role, BundleWriter(folder))
    return Made(entry, *(read_program(path / f"{role}.mlpackage") for path in (parent.path, folder)))


@pytest.fixture(scope="module")
def named(ios17: Bundle, ios18: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return `named(ios, role, recipe)`, made once."""

    @cache
    def make(ios: int, role: str, name: str) -> Made:
        recipe = load_recipe(name, "coreml")
        if ios == 18:  # has no other role
            recipe = replace(recipe, rules=tuple(r for r in recipe.rules if r.tensors in ("conditioner/*", "*")))
        return write(ios17 if ios == 17 else ios18, role, recipe, tmp_path_factory.mktemp(name))

    return make


CASES = [(17, "text_encoder", "w8"), (17, "image_encoder", "w8-lut"), (17, "conditioner", "w6"),
         (17, "denoiser", "w4"), (18, "conditioner", "w4")]  # fmt: skip


def expected_format(ios: int, role: str, recipe: str, name: str) -> tuple[int, str, int | None]:
    """(bits, codes, group) as docs/coreml.md tells it; bits 0 for what is left."""
    if "depthwise" in name or name.startswith("quant"):
        return 0, "scaled", None
    if recipe == "w8-lut":
        return 8, "palette", None
    eight = role.startswith("image_") or (role == "denoiser" and "_block_" in name)
    if recipe == "w4":
        eight = eight or role == "text_encoder" or name.startswith(("mlm_layer", "embed_table"))
    if recipe == "w8" or eight:
        return 8, "scaled", None
    bits = 4 if recipe == "w4" else 6
    return bits, "palette", 16 if ios == 18 else None


@pytest.mark.parametrize(("ios", "role", "recipe"), CASES)
def test_the_manifest_says_what_each_weight_became(named: Any, ios: int, role: str, recipe: str) -> None:
    made: Made = named(ios, role, recipe)
    assert made.entry.tensors
    for name, found in made.entry.tensors.items():
        width = 32 if role == "image_encoder" else 16
        bits, codes, group = expected_format(ios, role, recipe, name)
        if group is not None and len(made.before.constants[name].value) % group:
            group = None  # the outputs cannot be shared out
        assert (found.bits, found.codes, found.block) == (bits or width, codes, group), name
        assert found.activations == f"float{width}"
        assert found.operator in ("linear", "matmul", "conv", "gather")


@pytest.mark.parametrize(("ios", "role", "recipe"), CASES)
def test_the_package_stores_what_the_manifest_says(named: Any, ios: int, role: str, recipe: str) -> None:
    made: Made = named(ios, role, recipe)
    scaled, palettes = (
        ("constexpr_affine_dequantize", "constexpr_lut_to_dense")
        if ios < 18
        else ("constexpr_blockwise_shift_scale", "constexpr_lut_to_dense")
    )
    for name, found in made.entry.tensors.items():
        before, after, stored = made.weight(name)
        if found.bits > 8:
            assert stored == "const"
            assert np.array_equal(before, after)
        else:
            assert stored == (palettes if found.codes == "palette" else scaled)
            check_values(found, before, after)
        assert (after.dtype, after.shape) == (before.dtype, before.shape)


def check_values(found: TensorFormat, before: Array, after: Array) -> None:
    """Few values, each the nearest there is; scales are multiples, up to the rounding of a half."""
    wide, given = before.astype(np.float64), after.astype(np.float64)
    size = found.block or len(wide)
    if found.codes == "palette":
        for first in range(0, len(wide), size):
            values = np.unique(given[first : first + size])
            assert len(values) <= 2**found.bits
            distances = np.abs(wide[first : first + size].reshape(-1, 1) - values).min(1)
            assert np.array_equal(np.abs(wide - given)[first : first + size].reshape(-1), distances)
    else:
        rows = wide.reshape(len(wide), -1)
        scales = np.abs(rows).max(1, keepdims=True) / 127
        rounding = 2**-10 if before.dtype == np.float16 else 2**-22
        assert (
            np.abs(rows - given.reshape(rows.shape)) <= scales / 2 + 2 * rounding * np.abs(rows).max(1)[:, None]
        ).all()


@pytest.mark.parametrize(("ios", "role", "recipe"), CASES)
def test_recorded_errors_are_those_of_the_two_packages(named: Any, ios: int, role: str, recipe: str) -> None:
    made: Made = named(ios, role, recipe)
    for name, found in made.entry.tensors.items():
        before, after, _ = made.weight(name)
        wide = before.astype(np.float64)
        error = np.sqrt(((after - wide) ** 2).mean() / (wide**2).mean())
        assert found.error == pytest.approx(error, rel=1e-6, abs=1e-12), name
        exact = found.bits > 8 or (found.codes == "palette" and before.size <= 2**found.bits)
        assert (error == 0) == exact, name


@pytest.mark.parametrize(("role", "recipe"), [*((role, "w4") for role in ROLES), ("image_encoder", "nothing")])
def test_nothing_else_of_a_program_changes(ios17: Bundle, tmp_path: Path, role: str, recipe: str) -> None:
    """No operation, name or order: coremltools' passes, which ran when it was exported, put casts in once more."""
    chosen = Recipe("nothing", (Rule("*", bits=32),)) if recipe == "nothing" else load_recipe(recipe, "coreml")
    made = write(ios17, role, chosen, tmp_path)
    compressed = {name for name, found in made.entry.tensors.items() if found.bits < 16}
    assert bool(compressed) == (recipe == "w4")
    assert _with_one_name(made.after, compressed) == _with_one_name(made.before, compressed)
    assert (made.after.system, made.after.pictures) == (made.before.system, made.before.pictures)
    assert (made.after.inputs, made.after.outputs) == (made.before.inputs, made.before.outputs)
    for name in made.before.constants.keys() - compressed:
        before, after = made.before.constants[name], made.after.constants[name]
        assert np.array_equal(after.value, before.value), name
        assert (after.value.dtype, after.stored) == (before.value.dtype, before.stored), name


def _with_one_name(program: Program, compressed: set[str]) -> list[Any]:
    """Return what a program does, in its order; a compressed weight has the name that it had before."""
    known = {f"{name}_{how}": name for name in compressed for how in ("quantized", "palettized")}

    def told(argument: Any) -> Any:
        return known.get(argument.name, argument.name) if isinstance(argument, Name) else repr(argument)

    return [
        (op.operator, op.outputs, {parameter: told(argument) for parameter, argument in op.arguments.items()})
        for op in program.operations
    ]


def test_blocks_and_four_bits_without_a_palette_on_ios_18(ios18: Bundle, tmp_path: Path) -> None:
    recipe = Recipe("mine", (Rule("*/transformer_layers*", bits=8, block=16), Rule("*/cond_embed.linear_2*", bits=4)))
    made = write(ios18, "conditioner", recipe, tmp_path)
    for name, found in made.entry.tensors.items():
        before, after, stored = made.weight(name)
        if name.startswith("transformer_layers"):
            assert (found.bits, found.block, found.codes, stored[:9]) == (8, 16, "scaled", "constexpr")
            pieces, made_pieces = (v.astype(np.float64).reshape(len(v), -1, 16) for v in (before, after))
            span = np.abs(pieces).max(-1, keepdims=True)
            assert (np.abs(pieces - made_pieces) <= span / 127 / 2 + span * 2**-9).all()
        elif name == "cond_embed_linear_2_weight":
            assert (found.bits, found.block, stored) == (4, None, "constexpr_blockwise_shift_scale")
            assert max(len(np.unique(row)) for row in after) <= 16
        else:
            assert (found.bits, stored) == (16, "const")


# --- A whole bundle by w8.


def test_a_quantized_bundle_says_how_it_was_made(tiny_coreml: Path, tiny_coreml_w8: Path) -> None:
    manifest = Bundle.open(tiny_coreml_w8).manifest
    assert manifest.parity is None
    assert manifest.quantization is not None
    assert (manifest.quantization.logits, manifest.quantization.pictures) == (None, None)
    assert manifest.quantization.parent == hashlib.sha256((tiny_coreml / "manifest.json").read_bytes()).hexdigest()
    assert Recipe.from_dict(manifest.quantization.recipe) == load_recipe("w8", "coreml")
    assert manifest.simulated is not None
    assert (manifest.simulated.reference, manifest.simulated.roles) == ("parent", {})
    assert manifest.simulated.logits.generations == 1
    assert manifest.fidelity.logits == manifest.simulated.logits
    assert manifest.engine == Bundle.open(tiny_coreml).manifest.engine
    for role in ROLES:
        assert manifest.graphs[role].inputs == Bundle.open(tiny_coreml).graph(role).inputs
        shares = [part.split(" bits ") for part in manifest.graphs[role].stored_precision.split(", ")]
        assert sum(float(share.rstrip("%")) for _, share in shares) == pytest.approx(100, abs=0.2)
        assert shares[0][0] == "8"


def test_the_account_says_that_it_was_simulated(tiny_coreml: Path, tiny_coreml_w8: Path) -> None:
    data, page = account.paths(tiny_coreml_w8)
    written, made = json.loads(data.read_text(encoding="utf-8")), Bundle.open(tiny_coreml_w8).manifest
    assert "simulated by a NumPy evaluator" in written["engine"]
    assert "simulated by a NumPy evaluator" in page.read_text(encoding="utf-8")
    assert made.simulated is not None
    assert written["logits"]["mean_kl"] == made.simulated.logits.mean_kl
    for role in ROLES:
        sizes = {"parent": Bundle.open(tiny_coreml).graph(role).bytes, "made": made.graphs[role].bytes}
        assert written["sizes"][role] == sizes
