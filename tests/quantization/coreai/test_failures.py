"""What cannot be done with a Core AI bundle is told in one clear error, and nothing is left behind."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amused_edge.quantization.coreai.plan import make_plan
from amused_edge.quantization.errors import QuantizationError, RecipeError
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.quantize import quantize_bundle
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError
from tests.support.coreai import needs_coreai

pytestmark = needs_coreai

ONE = QuantizeOptions(["a fox"], fidelity_prompts=1)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("fp16", "recipe 'fp16' is not for Core AI"),
        ("w8-lut", "there is no recipe 'w8-lut'; choose w8, w8a8, w6, w4"),
        (Rule("denoiser/typo.*", bits=8), r"the pattern 'denoiser/typo\.\*' matches no weight"),
        (Rule("*", bits=16, activations="half"), "what export --precision float16 makes"),
        (Rule("*", bits=16), "16 bits are what export --precision float16 stores"),
        (
            Rule("denoiser/*", "matmul", bits=8, activations="rowwise"),
            "taken at run time .*; choose 'static' or 'float'",
        ),
        (Rule("denoiser/*", bits=8, activations="static"), "denoiser/embed.table: a table is looked up"),
        (Rule("denoiser/*", bits=4, block=32), "blocks and feedback are for matmuls, and this is a table"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_recipe_that_does_not_fit(halves: Bundle, tmp_path: Path, recipe: Any, message: str) -> None:
    if isinstance(recipe, Rule):
        recipe = Recipe("mine", (recipe,), Calibration(prompts=1))
    with pytest.raises(RecipeError, match=message):
        quantize_bundle(halves.path, tmp_path / "out", recipe, ONE)
    assert list(tmp_path.iterdir()) == []


def test_blocks_are_halved_until_they_divide(floats: Bundle) -> None:
    """The widths here are 32, 24 and 56; where 16 does not divide either, all inputs share a scale."""
    recipe = Recipe("mine", (Rule("*", "matmul", bits=4, block=64, rounding="feedback"),), Calibration())
    plans = make_plan(floats, recipe)
    seen = set()
    for plan in plans.values():
        for name, weight in plan.weights.items():
            rule = plan.rules[name]
            if weight.operator != "matmul":
                assert rule.bits == 32
                continue
            widest = max((size for size in (16, 32, 64) if weight.shape[0] % size == 0), default=None)
            assert (rule.bits, rule.block) == (4, widest)
            assert rule.rounding == ("nearest" if widest is None else "feedback")
            seen.add(widest)
    assert seen >= {32, None}


def test_a_quantized_bundle(halves: Bundle, tmp_path: Path) -> None:
    from amused_edge.runtime.bundle.measurements import Quantization

    done = replace(
        halves.manifest, quantization=Quantization(Recipe("w8", (Rule("*", bits=8),)).to_dict(), "0" * 64, None, None)
    )
    with pytest.raises(QuantizationError, match=r"is quantized already \(recipe 'w8'\).*amused-edge export"):
        make_plan(Bundle(halves.path, done), Recipe("w4", (Rule("*", bits=8),)))


def test_a_changed_byte_is_found_before_core_ai_sees_it(halves: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(halves.path, tmp_path / "copy")
    file = folder / "denoiser.aimodel" / "main.mlirb"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"main\.mlirb"):
        quantize_bundle(folder, tmp_path / "out", "w8", ONE)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
