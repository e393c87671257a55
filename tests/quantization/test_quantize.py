"""Bundles made of the trained demo by the named recipes: what they hold, and that they still draw the same."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from amused_edge.quantization import account
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.for_onnx import RECIPES
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.measurements import LogitFidelity, PictureFidelity
from amused_edge.runtime.pipeline import AmusedPipeline

Quantized = Callable[[str], Path]
MAIN = ("fp16", "w8", "w8a8", "w4")


def cost(folder: Path) -> tuple[LogitFidelity, PictureFidelity]:
    made = Bundle.open(folder).manifest.quantization
    assert made is not None
    return made.logits, made.pictures


def bytes_of(bundle: Bundle, role: str) -> int:
    return sum(bundle.file(file).stat().st_size for file in bundle.graph(role).files)


# What docs/quantization.md promises of 64 prompts, with room for the two drawn here.
@pytest.mark.parametrize(
    ("recipe", "kl", "draws", "psnr"),
    [("fp16", 1e-4, 0.998, 60), ("w8", 1e-3, 0.985, 40), ("w8a8", 2e-2, 0.96, 32), ("w4", 5e-3, 0.97, 40)],
)
def test_fidelity_to_the_parent(quantized_demo: Quantized, recipe: str, kl: float, draws: float, psnr: float) -> None:
    logits, pictures = cost(quantized_demo(recipe))
    assert logits.mean_kl <= kl
    assert logits.equal_draws >= draws
    assert logits.generations == 2
    assert pictures.psnr is None or pictures.psnr >= psnr


def test_w4_is_far_better_than_plain_rounding(
    demo_bundle: Path, demo_prompts: tuple[str, ...], quantized_demo: Quantized, tmp_path: Path
) -> None:
    """The recipe keeps 8 bits where it hurts and feeds errors back; plain 4-bit blocks of 32 are ruinous."""
    plain = Recipe(
        "plain",
        tuple(
            Rule(f"{role}/*", operator="matmul", bits=4, block=32, symmetric=True)
            for role in ("denoiser", "conditioner")
        ),
    )
    made = quantize_bundle(demo_bundle, tmp_path / "plain", plain, QuantizeOptions(demo_prompts, fidelity_prompts=2))
    assert cost(quantized_demo("w4"))[0].mean_kl <= cost(made.path)[0].mean_kl / 2


@pytest.mark.parametrize("recipe", MAIN)
def test_the_manifest_tells_how_it_was_made(demo_bundle: Path, quantized_demo: Quantized, recipe: str) -> None:
    manifest = Bundle.open(quantized_demo(recipe)).manifest
    made = manifest.quantization
    assert made is not None
    assert manifest.parity is None
    assert made.parent == hashlib.sha256((demo_bundle / "manifest.json").read_bytes()).hexdigest()
    repeated = Recipe.from_dict(made.recipe)
    assert repeated.rules == RECIPES[recipe].rules
    assert repeated.calibration in (None, Calibration(prompts=2))


@pytest.mark.parametrize("recipe", MAIN)
def test_every_weight_is_recorded_and_covered(quantized_demo: Quantized, demo_bundle: Path, recipe: str) -> None:
    """Of each graph, all float32 initializers that are left are small, or stand in the list with 32 bits."""
    bundle = Bundle.open(quantized_demo(recipe))
    for role, entry in bundle.manifest.graphs.items():
        graph = ir.load(bundle.file(entry.files[0])).graph
        kept = {name for name, made in entry.tensors.items() if made.bits == 32}
        for value in graph.initializers.values():
            assert value.const_value is not None
            shape = tuple(value.const_value.shape)
            if value.const_value.dtype == ir.DataType.FLOAT and len(shape) > 1 and value.name not in kept:
                scales = str(value.name).endswith(".scales")
                attention_mask = role == "text_encoder" and shape[-2:] == (77, 77)
                codebook = value.name == "quantize.embedding.weight"
                assert scales or attention_mask or codebook or value.const_value.size < 300, (role, value.name, shape)
        factors = {
            node.inputs[1].name
            for node in graph
            if node.op_type in ("MatMul", "Gemm")
            and node.inputs[1] is not None
            and node.inputs[1].name in graph.initializers
        }
        if recipe.startswith("w"):
            assert factors <= kept | {"quantize.embedding.weight"}, role


def test_names_of_the_checkpoint_are_kept(quantized_demo: Quantized) -> None:
    tensors = Bundle.open(quantized_demo("w8")).graph("denoiser").tensors
    assert tensors["transformer_layers.0.ff.net.2.weight"].bits == 8
    assert tensors["transformer_layers.0.ff.net.2.weight"].operator == "MatMulNBits"
    assert tensors["down_block.res_blocks.0.channelwise_linear_1.weight"].block == 16
    assert tensors["down_block.res_blocks.0.depthwise.weight"].bits == 32


@pytest.mark.parametrize(
    ("recipe", "computes"),
    [
        ("w8", "96 MatMulNBits in float32"),
        ("w4", "96 MatMulNBits in float32"),
        ("w8a8", "96 DynamicQuantizeMatMul in uint8"),
    ],
)
def test_what_the_engine_computes_is_recorded(quantized_demo: Quantized, recipe: str, computes: str) -> None:
    assert computes in Bundle.open(quantized_demo(recipe)).graph("denoiser").executed_precision


@pytest.mark.parametrize(("recipe", "bits"), [("fp16", 16), ("w8", 8), ("w8a8", 8), ("w4", 4)])
def test_what_is_stored_is_recorded(quantized_demo: Quantized, recipe: str, bits: int) -> None:
    """Most of the conditioner is in the bits that the recipe is named after; shares add up to the whole."""
    for role, entry in Bundle.open(quantized_demo(recipe)).manifest.graphs.items():
        shares = dict(part.split(" bits ") for part in entry.stored_precision.split(", "))
        assert sum(float(share.rstrip("%")) for share in shares.values()) == pytest.approx(100, abs=0.2)
        assert set(map(int, shares)) == {made.bits for made in entry.tensors.values()}
        if role == "conditioner":
            assert entry.stored_precision.startswith(f"{bits} bits ")


def test_static_convolutions_are_integer_products(quantized_demo: Quantized) -> None:
    """A QDQ pattern that the engine did not recognise would run in float32, slower than before."""
    bundle = Bundle.open(quantized_demo("w8a8"))
    static = [made for made in bundle.graph("image_decoder").tensors.values() if made.activations == "static uint8"]
    assert len(static) == 20
    assert "20 QLinearConv in uint8" in bundle.graph("image_decoder").executed_precision


def test_what_a_decoder_repeats_is_8_bits_wide(quantized_demo: Quantized) -> None:
    """Calibration reads the same graph before, and must leave no trace in it."""
    graph = ir.load(quantized_demo("w8a8") / "image_decoder.onnx").graph
    repeated = [node.inputs[0] for node in graph if node.op_type == "Resize"]
    assert len(repeated) == 2
    for value in repeated:
        producer = value and value.producer()
        assert producer is not None
        assert producer.op_type == "DequantizeLinear"


@pytest.mark.parametrize("role", ["text_encoder", "conditioner", "denoiser"])
def test_sizes(demo_bundle: Path, quantized_demo: Quantized, role: str) -> None:
    """The demo's conv stages are a larger part than a full-size model's, and biases weigh more."""
    whole = bytes_of(Bundle.open(demo_bundle), role)
    assert bytes_of(Bundle.open(quantized_demo("fp16")), role) < 0.52 * whole
    assert bytes_of(Bundle.open(quantized_demo("w8")), role) < 0.29 * whole
    assert bytes_of(Bundle.open(quantized_demo("w8a8")), role) < 0.28 * whole
    if role != "text_encoder":
        assert bytes_of(Bundle.open(quantized_demo("w4")), role) < 0.18 * whole


@pytest.mark.parametrize("recipe", MAIN)
def test_the_account_beside_the_bundle(demo_bundle: Path, quantized_demo: Quantized, recipe: str) -> None:
    folder = quantized_demo(recipe)
    data, page = account.paths(folder)
    written = json.loads(data.read_text(encoding="utf-8"))
    made, parent = Bundle.open(folder), Bundle.open(demo_bundle)
    assert made.manifest.quantization is not None
    for role in made.manifest.graphs:
        assert written["sizes"][role] == {"parent": bytes_of(parent, role), "made": bytes_of(made, role)}
    assert written["logits"]["mean_kl"] == made.manifest.quantization.logits.mean_kl
    assert set(written["tensors"]) == {
        f"{role}/{name}" for role, graph in made.manifest.graphs.items() for name in graph.tensors
    }
    assert f"by recipe {recipe}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("recipe", MAIN)
def test_it_verifies_and_reproduces_its_golden_output(quantized_demo: Quantized, recipe: str) -> None:
    bundle = Bundle.open(quantized_demo(recipe))
    verification.verify(bundle)
    with AmusedPipeline.from_bundle(bundle.path) as pipeline:
        report = golden_check.compare(pipeline)
    assert report.reproduced
    assert report.equal_tokens == 1.0


def test_the_parent_is_untouched_and_quantizing_is_repeatable(
    demo_bundle: Path, demo_prompts: tuple[str, ...], quantized_demo: Quantized, tmp_path: Path
) -> None:
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in demo_bundle.iterdir()}
    again = quantize_bundle(demo_bundle, tmp_path / "again", "w8", QuantizeOptions(demo_prompts, fidelity_prompts=1))
    assert before == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in demo_bundle.iterdir()}
    for role, entry in again.manifest.graphs.items():
        assert entry.files == Bundle.open(quantized_demo("w8")).graph(role).files


def test_dequantized_weights_are_within_half_a_step(demo_bundle: Path, quantized_demo: Quantized) -> None:
    """From the files on disk: codes, scales and zero points of a block give the parent's weight back."""
    name = "transformer_layers.2.ff.net.0.value.weight"
    parent = ir.load(demo_bundle / "denoiser.onnx").graph.initializers[name].const_value
    tensors = ir.load(quantized_demo("w8") / "denoiser.onnx").graph.initializers
    codes, scales, zero_points = (
        tensors[f"{name}.{part}"].const_value.numpy().astype(np.float64)  # type: ignore[union-attr]
        for part in ("codes", "scales", "zero_points")
    )
    assert parent is not None
    weight = parent.numpy().astype(np.float64)
    outputs, blocks, size = codes.shape
    steps = scales.reshape(outputs, blocks, 1)
    restored = ((codes - zero_points.reshape(outputs, blocks, 1)) * steps).reshape(outputs, -1)[:, : len(weight)].T
    limit = np.repeat(steps[..., 0], size, axis=1)[:, : len(weight)].T / 2
    assert (np.abs(restored - weight) <= limit * (1 + 1e-5)).all()
