"""Opening, verifying and loading bundles that are damaged, incomplete or hostile: each has an error of its own."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES, Manifest
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import BundleError, GraphError, OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings

Relist = Callable[[Path, str], None]
EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def load_denoiser(bundle: Path) -> Any:
    return load_graph(Bundle.open(bundle), "denoiser", EngineOptions())


# --- What is whole opens.


def test_a_whole_bundle_opens_verifies_and_runs(small_bundle: Path) -> None:
    bundle = Bundle.open(str(small_bundle))
    verification.verify(bundle)
    assert bundle.tokenizer == small_bundle / "tokenizer.json"
    assert bundle.manifest.sampler == SamplerSettings(3, 2.0, (2.0, 0.0), "cosine")
    assert load_denoiser(small_bundle)({"x": np.array([10, 20])})["y"].tolist() == [11, 22]


def test_an_exported_bundle_opens_and_verifies(demo_bundle: Path) -> None:
    bundle = Bundle.open(demo_bundle)
    verification.verify(bundle)
    listed = {"manifest.json", "README.md", *(entry.path for entry in bundle.manifest.all_files())}
    assert {file.name for file in demo_bundle.iterdir()} == listed


def test_a_manifest_survives_the_round_trip(demo_bundle: Path) -> None:
    text = (demo_bundle / "manifest.json").read_text(encoding="utf-8")
    manifest = Manifest.from_json(text)
    assert manifest.to_json() == text
    assert Manifest.from_json(manifest.to_json()) == manifest


# --- Opening.


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: cannot read manifest\.json; make one with"):
        Bundle.open(tmp_path)


def test_a_path_that_does_not_exist_or_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nothing", "file"):
        with pytest.raises(BundleError, match="is not a bundle"):
            Bundle.open(tmp_path / name)


@pytest.mark.parametrize("role", ROLES)
def test_a_missing_role_is_named(small_bundle: Path, edit_manifest: EditManifest, role: str) -> None:
    edit_manifest(small_bundle, lambda manifest: manifest["graphs"].pop(role))
    with pytest.raises(BundleError, match=f"lacks {role}; copy it again, or export it again"):
        Bundle.open(small_bundle)


@pytest.mark.parametrize("name", ["tokenizer.json", "golden.json"])
def test_a_missing_entry_beside_the_graphs_is_named(small_bundle: Path, edit_manifest: EditManifest, name: str) -> None:
    edit_manifest(small_bundle, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(BundleError, match=f"lacks {name}"):
        Bundle.open(small_bundle)


@pytest.mark.parametrize("name", ["tokenizer.json", "image_decoder.onnx", "denoiser.onnx.data"])
def test_a_missing_file_is_named(small_bundle: Path, name: str) -> None:
    (small_bundle / name).unlink()
    with pytest.raises(BundleError, match=f"lacks the file {name}; copy it again"):
        Bundle.open(small_bundle)


@pytest.mark.parametrize("size", [0, 5, 9])
def test_weights_of_another_size_are_refused(small_bundle: Path, size: int) -> None:
    """A copy that stopped half-way, and one that grew."""
    with (small_bundle / "denoiser.onnx.data").open("r+b") as file:
        file.truncate(size)
    with pytest.raises(BundleError, match=f"has {size} bytes, the manifest says 8: truncated or changed"):
        Bundle.open(small_bundle)


def test_truncated_weights_of_an_exported_bundle_are_refused(bundle_copy: Path) -> None:
    file = bundle_copy / "denoiser.onnx.data"
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(BundleError, match=r"denoiser\.onnx\.data has \d+ bytes, the manifest says \d+"):
        Bundle.open(bundle_copy)


# --- The manifest.


@pytest.mark.parametrize("text", ["", "{", "not json", "[1, 2"])
def test_a_manifest_that_is_not_json(small_bundle: Path, text: str) -> None:
    (small_bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON \(.*\); make the bundle again"):
        Bundle.open(small_bundle)


def test_a_manifest_that_is_not_text(small_bundle: Path) -> None:
    (small_bundle / "manifest.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.open(small_bundle)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"bundle"'])
def test_a_manifest_that_is_no_object(small_bundle: Path, text: str) -> None:
    (small_bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json is not a JSON object"):
        Bundle.open(small_bundle)


def test_a_newer_schema_asks_for_an_upgrade(small_bundle: Path, edit_manifest: EditManifest) -> None:
    """Even where nothing else in it can be understood."""
    edit_manifest(small_bundle, lambda manifest: (manifest.clear(), manifest.update(schema_version=99)))
    with pytest.raises(BundleError, match="schema version 99, this amused-edge reads up to 2; upgrade amused-edge"):
        Bundle.open(small_bundle)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("schema_version", "manifest.json lacks 'schema_version'"),
        ("target", "manifest.json lacks 'target'"),
        ("graphs", "manifest.json lacks 'graphs'"),
        ("parity", "manifest.json lacks 'parity'"),
        ("quantization", "manifest.json lacks 'quantization'"),
        ("graphs/denoiser/tensors", "manifest.json: graphs.denoiser lacks 'tensors'"),
        ("geometry/mask_token_id", "manifest.json: geometry lacks 'mask_token_id'"),
        ("sampler/steps", "manifest.json: sampler lacks 'steps'"),
        ("micro_conditioning/crop_top", "manifest.json: micro_conditioning lacks 'crop_top'"),
        ("graphs/denoiser/outputs", "manifest.json: graphs.denoiser lacks 'outputs'"),
        ("graphs/denoiser/files/1/sha256", "manifest.json: graphs.denoiser: files[1] lacks 'sha256'"),
        ("files/golden.json/bytes", "manifest.json: files.golden.json lacks 'bytes'"),
    ],
)
def test_a_missing_field_is_named_with_its_place(
    small_bundle: Path, edit_manifest: EditManifest, path: str, message: str
) -> None:
    *parents, name = path.split("/")

    def remove(manifest: Any) -> None:
        for parent in parents:
            manifest = manifest[int(parent) if parent.isdigit() else parent]
        del manifest[name]

    edit_manifest(small_bundle, remove)
    with pytest.raises(BundleError) as error:
        Bundle.open(small_bundle)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("section", "name", "value", "message"),
    [
        ("geometry", "grid_height", "16", "geometry: 'grid_height' is '16', not a int"),
        ("geometry", "grid_height", 16.0, "geometry: 'grid_height' is 16.0, not a int"),
        ("geometry", "grid_height", True, "geometry: 'grid_height' is True, not a int"),
        ("micro_conditioning", "crop_top", "0", "micro_conditioning: 'crop_top' is '0', not a float"),
        ("model", "name", None, "model: 'name' is None, not a str"),
        ("sampler", "steps", 0, "sampler: steps is 0; it must be 1 or more"),
        ("sampler", "schedule", "sine", "sampler: schedule is 'sine'"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(
    small_bundle: Path, edit_manifest: EditManifest, section: str, name: str, value: Any, message: str
) -> None:
    edit_manifest(small_bundle, lambda manifest: manifest[section].update({name: value}))
    with pytest.raises(BundleError) as error:
        Bundle.open(small_bundle)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": []}, "a graph has no files"),
        ({"inputs": [{"name": "x", "dtype": "float32", "shape": [1.5]}]}, "is not a list of numbers and names"),
        ({"inputs": ["x"]}, "graphs.denoiser: inputs[0] is not a JSON object"),
    ],
)
def test_a_graph_that_makes_no_sense(
    small_bundle: Path, edit_manifest: EditManifest, change: dict[str, Any], message: str
) -> None:
    edit_manifest(small_bundle, lambda manifest: manifest["graphs"]["denoiser"].update(change))
    with pytest.raises(BundleError) as error:
        Bundle.open(small_bundle)
    assert message in str(error.value)


# --- Loading and running a graph.


def test_a_file_that_is_no_model(small_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"conditioner\.onnx is not an ONNX model: .*; copy the bundle again"):
        load_graph(Bundle.open(small_bundle), "conditioner", EngineOptions())


def test_a_model_that_the_engine_refuses(small_bundle: Path, relist: Relist) -> None:
    """An empty file is an empty protobuf message, but no model."""
    (small_bundle / "conditioner.onnx").write_bytes(b"")
    relist(small_bundle, "conditioner.onnx")
    with pytest.raises(GraphError, match=r"cannot load .*conditioner\.onnx: .*amused-edge inspect --verify"):
        load_graph(Bundle.open(small_bundle), "conditioner", EngineOptions())


def test_an_unknown_provider_is_named_beside_those_there_are(small_bundle: Path) -> None:
    options = EngineOptions(providers=("NoSuchProvider", "CPUExecutionProvider"))
    with pytest.raises(OptionsError, match=r"'NoSuchProvider' is not in this onnxruntime; it has: .*CPUExecution"):
        load_graph(Bundle.open(small_bundle), "denoiser", options)


def test_an_unknown_target_asks_for_an_upgrade(small_bundle: Path, edit_manifest: EditManifest) -> None:
    edit_manifest(small_bundle, lambda manifest: manifest.update(target="abacus"))
    with pytest.raises(BundleError, match="has the target 'abacus', which this amused-edge cannot run"):
        load_denoiser(small_bundle)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"denoiser takes \['x'\], it was given \[\]"),
        ({"x": np.zeros(2), "z": np.zeros(2)}, r"denoiser takes \['x'\], it was given \['x', 'z'\]"),
        ({"x": np.zeros(3)}, r"denoiser: x has shape \[3\], the graph takes \[2\]"),
        ({"x": np.zeros((1, 2))}, r"denoiser: x has shape \[1, 2\], the graph takes \[2\]"),
    ],
)
def test_wrong_inputs_are_refused(small_bundle: Path, inputs: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        load_denoiser(small_bundle)(inputs)


def test_a_closed_graph_cannot_be_called(small_bundle: Path) -> None:
    graph = load_denoiser(small_bundle)
    graph.close()
    with pytest.raises(GraphError, match="denoiser was closed"):
        graph({"x": np.zeros(2)})


def test_the_manifest_is_plain_json(demo_bundle: Path) -> None:
    """Other languages' parsers take neither NaN nor Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    for name in ("manifest.json", "golden.json"):
        json.loads((demo_bundle / name).read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["graphs"]["denoiser"].update(derived_tensors={"a": 5}), "'a' is 5, not a list"),
        (lambda m: m["graphs"]["denoiser"].update(derived_tensors={"a": [5]}), "'a' is 5, not a str"),
        (lambda m: m["parity"].update(roles=[]), "'roles' is"),
        (lambda m: m["parity"]["logits"].pop("mean_kl"), "parity: logits lacks 'mean_kl'"),
        (lambda m: m["geometry"].update(codebook_size=0), "codebook_size is 0"),
        (lambda m: m["geometry"].update(grid_width=10**9), "grid_width is 1000000000"),
        (
            lambda m: m["geometry"].update(codebook_size=256, mask_token_id=255),
            "mask_token_id 255 is one of the 256 codes",
        ),
    ],
)
def test_odd_values_in_the_manifest_are_bundle_errors(
    small_bundle: Path, edit_manifest: Any, change: Any, message: str
) -> None:
    edit_manifest(small_bundle, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(small_bundle)


def test_a_name_too_long_for_the_file_system_is_a_bundle_error(small_bundle: Path, edit_manifest: Any) -> None:
    edit_manifest(small_bundle, lambda m: m["files"]["golden.json"].update(path="x" * 300))
    with pytest.raises(BundleError, match="cannot read"):
        Bundle.open(small_bundle)
