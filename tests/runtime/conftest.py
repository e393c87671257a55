"""Fixtures of the runtime's tests: a bundle of a few hundred bytes, and ways to change it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.drawn import PROMPT, QUICK

if TYPE_CHECKING:
    from amused_edge.runtime import AmusedPipeline

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def _entry(folder: Path, name: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    return {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _graph(folder: Path, names: list[str]) -> dict[str, Any]:
    return {
        "files": [_entry(folder, name) for name in names],
        "inputs": [{"name": "x", "dtype": "float32", "shape": [2], "layout": "array"}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [2], "layout": "array"}],
        "stored_precision": "fp32",
        "executed_precision": "fp32",
        "derived_tensors": {},
        "tensors": {},
    }


LOGITS = {
    "generations": 2,
    "rows": 300,
    "mean_kl": 1e-7,
    "max_kl": 3e-7,
    "total_variation": 1e-4,
    "top1": 1.0,
    "top5": 0.998,
    "equal_draws": 0.99,
    "confidence_correlation": 0.97,
    "max_logit_error": 1e-6,
}
PICTURES = {"psnr": 51.5, "worst_psnr": 48.25, "ssim": 0.99, "equal_codes": 0.95}


def _save_adder(file: Path) -> None:
    """Save the graph y = x + (1, 2), its weight in a file beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.array([1, 2], np.float32), "weight")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weight"], ["y"])],
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, file, save_as_external_data=True, location=f"{file.name}.data", size_threshold=0)


@pytest.fixture
def small_bundle(tmp_path: Path) -> Path:
    """A bundle whose denoiser is the graph y = x + (1, 2); its other files are complete, but only placeholders."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("tokenizer.json", "golden.json"):
        (folder / name).write_text("{}")
    others = ("text_encoder", "conditioner", "image_decoder", "image_encoder")
    for role in others:
        (folder / f"{role}.onnx").write_bytes(f"placeholder for {role}".encode())
    _save_adder(folder / "denoiser.onnx")
    geometry = ("image_height", "image_width", "grid_height", "grid_width", "codebook_size", "mask_token_id")
    manifest = {
        "schema_version": 1,
        "format": "amused-edge bundle",
        "target": "onnx",
        "model": {"name": "small", "source": "made by a test", "license": "Apache-2.0"},
        "geometry": {**dict.fromkeys(geometry, 1), "text_length": 77},
        "sampler": {
            "steps": 3,
            "guidance_scale": 2,
            "temperature": [2.0, 0.0],
            "schedule": "cosine",
            "guidance_ramp": "constant",
            "guidance_interval": [0.0, 1.0],
            "order": "confidence",
        },
        "micro_conditioning": {"crop_top": 0, "crop_left": 0.0, "aesthetic_score": 6.0},
        "engine": {"name": "onnxruntime", "version": "1", "oldest_tried": "1", "optimize": "portable"},
        "files": {name: _entry(folder, name) for name in ("tokenizer.json", "golden.json")},
        "graphs": {
            **{role: _graph(folder, [f"{role}.onnx"]) for role in others},
            "denoiser": _graph(folder, ["denoiser.onnx", "denoiser.onnx.data"]),
        },
        "tools": {},
        "parity": {"roles": {"denoiser": {"logits": 1e-6}}, "logits": LOGITS, "pictures": PICTURES},
        "quantization": None,
        "simulated": None,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def quantized_bundle(small_bundle: Path, edit_manifest: EditManifest) -> Path:
    """The small bundle with a manifest that says what a quantized one's does."""
    formats = {
        "a.weight": {
            "bits": 8,
            "block": None,
            "activations": "dynamic uint8",
            "operator": "DynamicQuantizeMatMul",
            "error": 0.01,
            "codes": "scaled",
        },
        "b.weight": {
            "bits": 4,
            "block": 32,
            "activations": "float32",
            "operator": "MatMulNBits",
            "error": 0.1,
            "codes": "scaled",
        },
    }

    def change(manifest: dict[str, Any]) -> None:
        manifest["graphs"]["denoiser"]["tensors"] = formats
        manifest["parity"] = None
        manifest["quantization"] = {
            "recipe": {"name": "mixed", "rules": [{"match": "*.weight", "bits": 8}]},
            "parent": "0123456789abcdef" * 4,
            "logits": LOGITS,
            "pictures": PICTURES,
        }

    edit_manifest(small_bundle, change)
    return small_bundle


@pytest.fixture
def simulated_bundle(small_bundle: Path, edit_manifest: EditManifest) -> Path:
    """The small bundle with a manifest that says what one says whose engine does not run where it was made."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["parity"] = None
        manifest["simulated"] = {
            "evaluator": "an abacus",
            "reference": "checkpoint",
            "roles": {"denoiser": {"logits": 1e-3}},
            "logits": LOGITS,
            "pictures": PICTURES,
        }
        picture = {"name": "image", "dtype": "uint8", "shape": [1, 4, 5, 3], "layout": "picture"}
        manifest["graphs"]["image_decoder"]["outputs"] = [picture]

    edit_manifest(small_bundle, change)
    return small_bundle


@pytest.fixture
def edit_manifest() -> EditManifest:
    """Return a function that lets another one change a bundle's parsed manifest: `edit_manifest(bundle, change)`."""

    def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
        file = bundle / "manifest.json"
        manifest = json.loads(file.read_text(encoding="utf-8"))
        change(manifest)
        file.write_text(json.dumps(manifest), encoding="utf-8")

    return edit


@pytest.fixture
def relist(edit_manifest: EditManifest) -> Callable[[Path, str], None]:
    """Return a function that gives the manifest a changed file's new size and hash: `relist(bundle, name)`."""

    def update(bundle: Path, name: str) -> None:
        def change(manifest: dict[str, Any]) -> None:
            entries = [*manifest["files"].values(), *(f for g in manifest["graphs"].values() for f in g["files"])]
            for entry in entries:
                if entry["path"] == name:
                    entry.update(_entry(bundle, name))

        edit_manifest(bundle, change)

    return update


@pytest.fixture(scope="session")
def save_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return `save_program(block, *inputs, name="program", **convert)`: saves a MIL program, nothing of it optimized.

    `block` takes variables and returns some; `inputs` are their shapes (float32), or `Builder.TensorSpec`s.
    """
    import coremltools as ct
    from coremltools.converters.mil import Builder

    from amused_edge.runtime.engines.coreml.saving import converting, save_package

    def save(block: Callable[..., Any], *inputs: Any, name: str = "program", **convert: Any) -> Path:
        system = convert.pop("system", ct.target.iOS17)
        specs = [Builder.TensorSpec(shape) if isinstance(shape, tuple) else shape for shape in inputs]
        package = tmp_path_factory.mktemp("programs") / f"{name}.mlpackage"
        with converting(package.parent):
            model = ct.convert(
                Builder.program(input_specs=specs, opset_version=system)(block),
                convert_to="mlprogram",
                minimum_deployment_target=system,
                compute_precision=ct.precision.FLOAT32,
                pass_pipeline=ct.PassPipeline.EMPTY,
                skip_model_load=True,
                **convert,
            )
            save_package(model, package)
        return package

    return save


@pytest.fixture(scope="module")
def pipeline(demo_bundle: Path) -> Iterator["AmusedPipeline"]:
    """Unverified: verification would remember itself in the user's cache, outside of any test's private one."""
    from amused_edge.runtime import AmusedPipeline

    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def fox(pipeline: "AmusedPipeline") -> Any:
    """A picture of the demo, (64, 64, 3) uint8."""
    return pipeline.generate(PROMPT, QUICK).images[0]
