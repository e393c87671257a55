"""NaN and infinity: pixels and tokens do not show them, so they are looked for in the weights and before the cast."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from amused_edge.export import parity
from amused_edge.export.bundle_export import export_bundle
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.coreml.write import CoreMLOptions, export_coreml
from amused_edge.export.errors import CheckpointError, ExportError
from amused_edge.export.graphs import GRAPHS
from amused_edge.export.modules.vqgan import ImageDecoder
from amused_edge.export.onnx.target import OnnxTarget
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import GraphError
from tests.support.poison import change_onnx
from tests.support.tiny_export import TinyExport

Make = Callable[..., Path]

BY_ROLE = {spec.role: spec for spec in GRAPHS}
WEIGHTS = {
    "transformer": "diffusion_pytorch_model",
    "vqvae": "diffusion_pytorch_model",
    "text_encoder": "model",
}


def spoil(folder: Path, component: str, change: Callable[[dict[str, torch.Tensor]], None], dtype: torch.dtype) -> None:
    file = folder / component / f"{WEIGHTS[component]}.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(file).items()}
    change(tensors)
    save_file(tensors, file)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    ("component", "name"),
    [
        ("transformer", "encoder_proj.weight"),
        ("vqvae", "quantize.embedding.weight"),
        ("text_encoder", "text_model.embeddings.token_embedding.weight"),
    ],
)
def test_one_value_is_refused_where_it_is_read(
    component: str, name: str, dtype: torch.dtype, make_checkpoint: Make
) -> None:
    """A NaN in the VQ-GAN was exported; in the other networks it was called a fault of the exported graph."""
    folder = make_checkpoint()

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name][3, 2] = float("nan")

    spoil(folder, component, change, dtype)
    place = rf"{component}/{WEIGHTS[component]}\.safetensors: {name}\[3, 2\] is nan; weights must be finite"
    with pytest.raises(CheckpointError, match=place):
        open_checkpoint(folder).check()


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e300])
def test_infinity_and_what_float32_cannot_hold(value: float, make_checkpoint: Make) -> None:
    folder = make_checkpoint()

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["decoder.conv_in.bias"][-1] = value
        tensors["decoder.conv_in.bias"][0] = value

    spoil(folder, "vqvae", change, torch.float64)
    expected = r"decoder\.conv_in\.bias\[0\] is -?inf, as are others of its values \(2 in all\)"
    with pytest.raises(CheckpointError, match=expected):
        open_checkpoint(folder).image_decoder()


def test_the_file_is_named_where_there_are_shards(make_checkpoint: Make) -> None:
    folder = make_checkpoint(max_shard_size="20KB")
    for file in sorted((folder / "vqvae").glob("*.safetensors")):
        tensors = load_file(file)
        if "decoder.conv_out.weight" in tensors:
            tensors["decoder.conv_out.weight"][2, 0, 1, 1] = float("nan")
            save_file(tensors, file)
            break
    with pytest.raises(CheckpointError, match=rf"{file.name}: decoder\.conv_out\.weight\[2, 0, 1, 1\] is nan"):
        open_checkpoint(folder).check()


def test_nothing_is_begun_before_the_weights_were_looked_at(make_checkpoint: Make, tmp_path: Path) -> None:
    folder = make_checkpoint()
    spoil(folder, "vqvae", lambda tensors: tensors["decoder.conv_out.bias"].fill_(float("nan")), torch.float32)
    stages: list[str] = []
    with pytest.raises(CheckpointError, match="nan"):
        export_bundle(folder, tmp_path / "out", on_stage=lambda text, *_: stages.append(text))
    assert stages == ["reading the checkpoint"]
    assert not (tmp_path / "out").exists()


class Unchanged:
    """A graph that computes just what the module does."""

    def __init__(self, role: str, module: nn.Module) -> None:
        self._outputs, self._module = BY_ROLE[role].outputs, module

    def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            result = self._module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        parts = result if isinstance(result, tuple) else (result,)
        return {name: part.numpy() for name, part in zip(self._outputs, parts, strict=True)}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("role", "name", "message"),
    [
        ("image_decoder", "quantize.embedding.weight", "image_decoder: code_table has values beyond"),
        ("image_decoder", "decoder.conv_out.weight", "image_decoder: the checkpoint's own network computes NaN"),
        ("image_encoder", "quantize.embedding.weight", "image_encoder: the checkpoint's own network computes NaN"),
        ("text_encoder", "text_projection.weight", "text_encoder: the checkpoint's own network computes NaN"),
    ],
)
def test_finite_weights_of_which_float32_makes_infinity(
    role: str, name: str, message: str, tiny_export: TinyExport, make_checkpoint: Make
) -> None:
    """Whole numbers made of NaN compared as equal; of floats it was said that the exported graph is wrong."""
    folder = make_checkpoint()
    component = "text_encoder" if role == "text_encoder" else "vqvae"
    spoil(folder, component, lambda tensors: tensors[name].fill_(3e38), torch.float32)
    checkpoint = open_checkpoint(folder)
    module = BY_ROLE[role].build(checkpoint).eval()
    inputs = BY_ROLE[role].example(checkpoint, tiny_export.bundle.manifest.geometry, 2)
    with pytest.raises(CheckpointError, match=message):
        parity.check_role(BY_ROLE[role], module, Unchanged(role, module), inputs)


@pytest.mark.parametrize(
    ("role", "name"), [("image_decoder", "decoder.conv_out.weight"), ("image_encoder", "encoder.conv_out.weight")]
)
def test_a_graph_that_computes_nan_where_the_module_gives_the_same_whole_numbers(
    role: str, name: str, tiny_export: TinyExport, tmp_path: Path
) -> None:
    """NaN becomes black, or code 0: a module that gives just that was said to be equal."""
    folder = Path(shutil.copytree(tiny_export.bundle.path, tmp_path / "bundle"))
    change_onnx(folder, role, name, lambda values: values.fill(np.nan))
    module = BY_ROLE[role].build(tiny_export.checkpoint).eval()
    inputs = BY_ROLE[role].example(tiny_export.checkpoint, tiny_export.bundle.manifest.geometry, 2)
    with torch.no_grad():
        if isinstance(module, ImageDecoder):
            module.decoder.conv_out.bias.fill_(-100.0)
        else:
            module.quantize.embedding.weight[:, 0] = 0.0
            module.quantize.embedding.weight[:, 1:] = 100.0
    assert not module(**inputs).any()
    assert not load_graph(Bundle.open(folder), role, EngineOptions())(
        {key: value.numpy() for key, value in inputs.items()}
    )[BY_ROLE[role].outputs[0]].any()
    graph = load_graph(Bundle.open(folder), role, OnnxTarget().engine)
    with pytest.raises(GraphError, match=f"{role}: values that become whole numbers are not finite"):
        parity.check_role(BY_ROLE[role], module, graph, inputs)


def test_a_weight_that_halves_cannot_hold(tiny_export: TinyExport, make_checkpoint: Make, tmp_path: Path) -> None:
    """A row that no check looks up was stored as infinity."""
    folder = make_checkpoint()
    name = "text_model.embeddings.token_embedding.weight"
    spoil(folder, "text_encoder", lambda tensors: tensors[name][7].fill_(-1e6), torch.float32)
    checkpoint, spec = open_checkpoint(folder), BY_ROLE["text_encoder"]
    inputs = spec.example(checkpoint, tiny_export.bundle.manifest.geometry, 2)
    with pytest.raises(ExportError, match=r"token_embedding\.weight has .* \(the largest is 1e\+06, theirs 65504\)"):
        export_coreml(spec.build(checkpoint).eval(), inputs, spec.outputs, tmp_path / "x.mlpackage", CoreMLOptions())
