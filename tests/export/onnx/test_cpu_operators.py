"""Graphs made for ONNX Runtime's CPU kernels: other operators, the same numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import GRAPHS
from amused_edge.export.onnx.cpu_operators import rewrite_for_cpu
from amused_edge.export.onnx.target import OnnxTarget
from amused_edge.export.onnx.write import export_onnx
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.engines.onnx.session import OnnxRuntimeGraph
from amused_edge.runtime.engines.parallel_rows import threads_of_a_row
from tests.support.exported import operators, run
from tests.support.quantized import quantized_once

DENOISER = next(spec for spec in GRAPHS if spec.role == "denoiser")
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "bias-resample": {"use_bias": True, "downsample": True, "upsample": True},
    "no-affine": {"ln_elementwise_affine": False},
}


class Attend(nn.Module):
    """What rules must not take for more than it is: the scale is no constant, one mean is of another axis, and one norm
    has a number for a weight.
    """

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        heads = x.reshape(x.shape[0], x.shape[1], 2, 4).transpose(1, 2)
        attended = torch.softmax((heads * scale[0]) @ heads.transpose(2, 3), dim=-1) @ heads
        y = attended.transpose(1, 2).reshape(x.shape)
        y = y / torch.sqrt(y.pow(2).mean(1, keepdim=True) + 1e-6) * 3.0
        return y / torch.sqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * 3.0


@pytest.mark.parametrize("case", CASES)
def test_a_denoiser_computes_the_same(case: str, make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    """Of a row, which is how it is written for CPUs, on odd grids, beside the module in float64; no attention and no
    RMS norm is left as it was.
    """
    checkpoint = open_checkpoint(make_checkpoint(uvit={"num_hidden_layers": 1, **CASES[case]}))
    uvit = checkpoint.uvit
    side = 3 * uvit.grid_multiple
    geometry = Geometry(16, 16, side, side + 2, uvit.codebook_size, checkpoint.mask_token_id, checkpoint.text_length)
    module, file = DENOISER.build(checkpoint).eval(), tmp_path / "denoiser.onnx"
    example = DENOISER.example(checkpoint, geometry, 2)
    export_onnx(module, example, DENOISER.outputs, file, optimize="cpu", one_row=True)
    found = operators(file)
    blocks = 2 * uvit.num_res_blocks
    assert found["MultiHeadAttention"] == 2 * uvit.num_hidden_layers + 2 * blocks
    assert found["Softmax"] == 0
    own = blocks + 3 + len({"downsample", "upsample"} & CASES[case].keys())  # before MLPs and around the layers
    always = 2 * uvit.num_hidden_layers + 2 * blocks  # of the attentions
    plain = 0 if uvit.ln_elementwise_affine else own
    assert found["SimplifiedLayerNormalization"] == always + own - plain
    assert found["Pow"] == blocks + plain  # those of GRNs, and norms without a weight, which stay
    feeds = {name: value[:1].clone() for name, value in example.items()}
    feeds["tokens"] = torch.randint(0, uvit.codebook_size, feeds["tokens"].shape)
    with torch.no_grad():
        wide = {name: value.double() if value.is_floating_point() else value for name, value in feeds.items()}
        expected = module.double()(**wide).numpy()
    error = np.abs(run(file, feeds) - expected).max() / np.abs(expected).max()
    assert error < 1e-5


def test_what_only_looks_alike_stays(tmp_path: Path) -> None:
    module, file = Attend().eval(), tmp_path / "model.onnx"
    example = {"x": torch.randn(2, 6, 8), "scale": torch.full((2,), 0.5)}
    export_onnx(module, example, ("y",), file, optimize="cpu")
    found = operators(file)
    assert found["Softmax"] == 1
    assert not found["MultiHeadAttention"] + found["SimplifiedLayerNormalization"]
    np.testing.assert_allclose(run(file, example), module(**example).numpy(), rtol=1e-5, atol=1e-6)
    assert rewrite_for_cpu(ir.load(file)) == 0


@pytest.fixture(scope="module")
def cpu_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    from tests.support.checkpoints import write_checkpoint

    root = tmp_path_factory.mktemp("cpu")
    folder = write_checkpoint(root / "checkpoint", uvit={"use_bias": True})
    return export_bundle(folder, root / "bundle", ExportOptions(), target=OnnxTarget("cpu"))


def test_the_choice_is_recorded_and_parity_was_checked(cpu_bundle: Bundle) -> None:
    assert cpu_bundle.manifest.engine.optimize == "cpu"
    assert cpu_bundle.manifest.parity is not None
    assert cpu_bundle.manifest.parity.logits.mean_kl < 1e-8
    assert operators(cpu_bundle.path / "denoiser.onnx")["MultiHeadAttention"] > 0


def test_its_denoiser_takes_one_row_and_says_so(cpu_bundle: Bundle) -> None:
    entry = cpu_bundle.graph("denoiser")
    assert {spec.shape[0] for spec in (*entry.inputs, *entry.outputs)} == {1}
    given = ir.load(cpu_bundle.path / "denoiser.onnx").graph.inputs
    assert [list(spec.shape) for spec in entry.inputs] == [list(value.shape or ()) for value in given]
    assert all(spec.shape[0] == "batch" for spec in cpu_bundle.graph("conditioner").inputs)


@pytest.fixture(scope="module")
def quantized(cpu_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    return quantized_once(cpu_bundle, tmp_path_factory)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_has_the_numbers_that_it_has_alone(quantized: Callable[[str], Bundle], threads: int) -> None:
    """Also where activations have a scale per tensor."""
    w8a8_bundle = quantized("w8a8")
    rng = np.random.Generator(np.random.Philox(0))
    inputs = {}
    for spec in w8a8_bundle.graph("denoiser").inputs:
        shape = (2, *(int(side) for side in spec.shape[1:]))
        tokens = spec.name == "tokens"
        inputs[spec.name] = rng.integers(0, 8, shape) if tokens else rng.standard_normal(shape, np.float32)
    inputs["layer_modulation"][1] *= 100  # a pair would share its scales
    graph = load_graph(w8a8_bundle, "denoiser", EngineOptions(threads=threads))
    together = graph(inputs)["logits"]
    graph.close()
    same = OnnxRuntimeGraph(w8a8_bundle, "denoiser", EngineOptions(threads=threads_of_a_row(2, threads)))
    for row in range(2):
        alone = same({name: value[row : row + 1] for name, value in inputs.items()})["logits"]
        np.testing.assert_array_equal(together[row : row + 1], alone)
    same.close()


@pytest.mark.parametrize(("recipe", "kl"), [("fp16", 1e-3), ("w8", 1e-2), ("w8a8", 0.2), ("w4", 0.2)])
def test_every_recipe_works_on_it(quantized: Callable[[str], Bundle], recipe: str, kl: float) -> None:
    made = quantized(recipe).manifest
    assert made.engine.optimize == "cpu"
    assert made.quantization is not None
    assert made.quantization.logits is not None
    assert made.quantization.logits.mean_kl < kl


def test_codes_that_meet_8_bit_activations_are_signed(quantized: Callable[[str], Bundle]) -> None:
    w8a8_bundle = quantized("w8a8")
    for role in ("denoiser", "image_decoder"):
        initializers = ir.load(w8a8_bundle.path / f"{role}.onnx").graph.initializers
        kinds: dict[str, set[ir.DataType | None]] = {}
        for name, became in w8a8_bundle.graph(role).tensors.items():
            if became.bits == 8:
                kinds.setdefault("float" if became.activations == "float32" else "int", set()).add(
                    initializers[f"{name}.codes"].dtype
                )
        assert kinds["int"] == {ir.DataType.INT8}


def test_an_unknown_choice_is_named() -> None:
    with pytest.raises(ExportError, match="optimize is 'gpu'; choose portable, cpu"):
        OnnxTarget("gpu")  # type: ignore[arg-type]
