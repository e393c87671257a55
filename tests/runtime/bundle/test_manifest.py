"""The manifest's record of what was measured and what weights became: read strictly, written as it was read."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import TensorFormat, TensorSpec
from amused_edge.runtime.bundle.manifest import Manifest
from amused_edge.runtime.bundle.measurements import (
    Fidelity,
    LogitFidelity,
    Parity,
    PictureFidelity,
    Quantization,
    Simulated,
)
from amused_edge.runtime.errors import BundleError

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]

LOGITS = LogitFidelity(2, 300, 1e-7, 3e-7, 1e-4, 1.0, 0.998, 0.99, 0.97, 1e-6)
PICTURES = PictureFidelity(51.5, 48.25, 0.99, 0.95)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


# --- What is whole is read as it stands.


def test_an_exported_bundles_parity_is_read(small_bundle: Path) -> None:
    manifest = Bundle.open(small_bundle).manifest
    assert manifest.parity == Parity({"denoiser": {"logits": 1e-6}}, LOGITS, PICTURES)
    assert manifest.quantization is None
    assert all(graph.tensors == {} for graph in manifest.graphs.values())


def test_a_quantized_bundles_record_is_read(quantized_bundle: Path) -> None:
    manifest = Bundle.open(quantized_bundle).manifest
    assert manifest.parity is None
    recipe = {"name": "mixed", "rules": [{"match": "*.weight", "bits": 8}]}
    assert manifest.quantization == Quantization(recipe, "0123456789abcdef" * 4, LOGITS, PICTURES)
    assert manifest.graphs["denoiser"].tensors == {
        "a.weight": TensorFormat(8, None, "dynamic uint8", "DynamicQuantizeMatMul", 0.01),
        "b.weight": TensorFormat(4, 32, "float32", "MatMulNBits", 0.1),
    }
    assert manifest.graphs["image_decoder"].tensors == {}


def test_a_simulation_is_read_and_is_no_parity(simulated_bundle: Path) -> None:
    manifest = Bundle.open(simulated_bundle).manifest
    assert manifest.simulated == Simulated("an abacus", "checkpoint", {"denoiser": {"logits": 1e-3}}, LOGITS, PICTURES)
    assert manifest.parity is None
    picture = TensorSpec("image", "uint8", (1, 4, 5, 3), "picture")
    assert manifest.graphs["image_decoder"].outputs == (picture,)
    assert manifest.graphs["image_decoder"].inputs[0].layout == "array"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((), "simulated"),
        (("engine",), "optimize"),
        (("sampler",), "guidance_ramp"),
        (("sampler",), "guidance_interval"),
        (("sampler",), "order"),
        (("graphs", "denoiser", "inputs", 0), "layout"),
        (("graphs", "denoiser", "outputs", 0), "layout"),
        (("graphs", "denoiser", "tensors", "b.weight"), "codes"),
    ],
)
def test_no_field_may_be_left_out(
    quantized_bundle: Path, edit_manifest: EditManifest, place: tuple[str | int, ...], name: str
) -> None:
    """Some had a value for bundles that lack them, of before the first release; there are none."""

    def drop(manifest: Any) -> None:
        for part in place:
            manifest = manifest[part]
        del manifest[name]

    refused(quantized_bundle, edit_manifest, drop, f"lacks '{name}'")


def test_a_size_beyond_64_bits_is_refused(small_bundle: Path, edit_manifest: EditManifest) -> None:
    """The bundle's card could not divide it."""
    change = partial(set_size, 2**64)
    refused(small_bundle, edit_manifest, change, "files.golden.json: 'bytes' is 18446744073709551616, not below 2^64")


def set_size(size: int, manifest: Any) -> None:
    manifest["files"]["golden.json"]["bytes"] = size


@pytest.mark.parametrize("version", [None, 1, ["1"]])
def test_a_tools_version_is_a_text(small_bundle: Path, edit_manifest: EditManifest, version: Any) -> None:
    refused(small_bundle, edit_manifest, lambda m: m["tools"].update({"amused-edge": version}), "'amused-edge' is")


@pytest.mark.parametrize("which", ["small_bundle", "quantized_bundle", "simulated_bundle"])
def test_the_fidelity_is_that_of_whichever_record_there_is(which: str, request: pytest.FixtureRequest) -> None:
    assert Bundle.open(request.getfixturevalue(which)).manifest.fidelity == Fidelity(LOGITS, PICTURES)


def test_a_quantization_that_could_not_be_measured(quantized_bundle: Path, edit_manifest: EditManifest) -> None:
    """Its fidelity is the simulated one; without that there is none."""
    edit_manifest(quantized_bundle, lambda m: m["quantization"].update(logits=None, pictures=None))
    manifest = Bundle.open(quantized_bundle).manifest
    assert manifest.quantization is not None
    assert (manifest.quantization.logits, manifest.quantization.pictures) == (None, None)
    with pytest.raises(BundleError, match="says nothing of the bundle's fidelity; make the bundle again"):
        _ = manifest.fidelity

    other = replace(PICTURES, psnr=None)
    simulated = replace(manifest, simulated=Simulated("an abacus", "parent", {}, LOGITS, other))
    assert simulated.fidelity == Fidelity(LOGITS, other)
    assert Manifest.from_json(simulated.to_json()) == simulated


@pytest.mark.parametrize("which", ["small_bundle", "quantized_bundle", "simulated_bundle"])
def test_a_record_survives_the_round_trip(which: str, request: pytest.FixtureRequest) -> None:
    """As objects and, apart from layout, as text: nothing is dropped, renamed or rounded."""
    text = (request.getfixturevalue(which) / "manifest.json").read_text(encoding="utf-8")
    manifest = Manifest.from_json(text)
    written = manifest.to_json()
    assert json.loads(written, parse_constant=refuse) == json.loads(text)
    assert Manifest.from_json(written) == manifest


@pytest.mark.parametrize("name", ["psnr", "worst_psnr", "ssim"])
def test_a_picture_measure_may_be_missing(quantized_bundle: Path, edit_manifest: EditManifest, name: str) -> None:
    """Equal pictures have no noise ratio, small ones no similarity."""
    edit_manifest(quantized_bundle, lambda m: m["quantization"]["pictures"].update({name: None}))
    manifest = Bundle.open(quantized_bundle).manifest
    assert manifest.quantization is not None
    assert getattr(manifest.quantization.pictures, name) is None
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_whole_numbers_count_as_floats(quantized_bundle: Path, edit_manifest: EditManifest) -> None:
    """Other languages write 1.0 as 1."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["quantization"]["logits"].update(mean_kl=0, top1=1)
        manifest["quantization"]["pictures"].update(psnr=50)
        manifest["graphs"]["denoiser"]["tensors"]["a.weight"].update(error=0)

    edit_manifest(quantized_bundle, change)
    manifest = Bundle.open(quantized_bundle).manifest
    assert manifest.quantization is not None
    values = [manifest.quantization.logits.mean_kl, manifest.quantization.logits.top1]
    values += [manifest.quantization.pictures.psnr, manifest.graphs["denoiser"].tensors["a.weight"].error]
    assert values == [0.0, 1.0, 50.0, 0.0]
    assert {type(value) for value in values} == {float}


def test_neither_parity_nor_quantization(small_bundle: Path, edit_manifest: EditManifest) -> None:
    """A bundle nobody measured can be opened; it does not claim anything."""
    edit_manifest(small_bundle, lambda m: m.update(parity=None))
    manifest = Bundle.open(small_bundle).manifest
    assert manifest.parity is None
    assert manifest.quantization is None


# --- What is damaged is refused, and its place is named.

Change = Callable[[Any], object]


def refused(bundle: Path, edit_manifest: EditManifest, change: Change, message: str) -> None:
    edit_manifest(bundle, change)
    with pytest.raises(BundleError) as error:
        Bundle.open(bundle)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["a.weight"].update(bits="8"), "tensors.a.weight: 'bits' is '8', not a int"),
        (lambda t: t["a.weight"].update(bits=8.0), "tensors.a.weight: 'bits' is 8.0, not a int"),
        (lambda t: t["a.weight"].update(bits=None), "tensors.a.weight: 'bits' is None, not a int"),
        (lambda t: t["b.weight"].update(block="32"), "tensors.b.weight: 'block' is '32', not a int"),
        (lambda t: t["b.weight"].update(block=True), "tensors.b.weight: 'block' is True, not a int"),
        (lambda t: t["b.weight"].pop("block"), "tensors.b.weight lacks 'block'"),
        (lambda t: t["a.weight"].update(activations=None), "tensors.a.weight: 'activations' is None, not a str"),
        (lambda t: t["a.weight"].pop("operator"), "tensors.a.weight lacks 'operator'"),
        (lambda t: t["a.weight"].update(error="small"), "tensors.a.weight: 'error' is 'small', not a float"),
        (lambda t: t.update({"a.weight": 8}), "tensors.a.weight is not a JSON object"),
        (lambda t: t.update({"a.weight": None}), "tensors.a.weight is not a JSON object"),
    ],
)
def test_a_damaged_tensor_format(
    quantized_bundle: Path, edit_manifest: EditManifest, change: Change, message: str
) -> None:
    where = f"manifest.json: graphs.denoiser: {message}"
    refused(quantized_bundle, edit_manifest, lambda m: change(m["graphs"]["denoiser"]["tensors"]), where)


@pytest.mark.parametrize("value", [None, [], "none"])
def test_tensors_are_an_object(quantized_bundle: Path, edit_manifest: EditManifest, value: Any) -> None:
    message = f"graphs.conditioner: 'tensors' is {value!r}, not a dict"
    refused(quantized_bundle, edit_manifest, lambda m: m["graphs"]["conditioner"].update(tensors=value), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q: q.pop("recipe"), "quantization lacks 'recipe'"),
        (lambda q: q.update(recipe="w8"), "quantization: 'recipe' is 'w8', not a dict"),
        (lambda q: q.pop("parent"), "quantization lacks 'parent'"),
        (lambda q: q.update(parent=None), "quantization: 'parent' is None, not a str"),
        (lambda q: q.pop("logits"), "quantization lacks 'logits'"),
        (lambda q: q.update(pictures=None), "quantization: 'pictures' is None, not a dict"),
        (lambda q: q.update(pictures=[]), "quantization: 'pictures' is [], not a dict"),
        (lambda q: q["logits"].pop("rows"), "quantization: logits lacks 'rows'"),
        (lambda q: q["logits"].update(rows=1.5), "quantization: logits: 'rows' is 1.5, not a int"),
        (lambda q: q["logits"].update(mean_kl=None), "quantization: logits: 'mean_kl' is None, not a float"),
        (lambda q: q["logits"].update(top5=True), "quantization: logits: 'top5' is True, not a float"),
        (lambda q: q["pictures"].pop("psnr"), "quantization: pictures lacks 'psnr'"),
        (lambda q: q["pictures"].update(ssim="1"), "quantization: pictures: 'ssim' is '1', not a float"),
        (lambda q: q["pictures"].update(equal_codes=None), "pictures: 'equal_codes' is None, not a float"),
    ],
)
def test_a_damaged_quantization(
    quantized_bundle: Path, edit_manifest: EditManifest, change: Change, message: str
) -> None:
    refused(quantized_bundle, edit_manifest, lambda m: change(m["quantization"]), message)


@pytest.mark.parametrize("name", ["parity", "quantization", "simulated"])
@pytest.mark.parametrize("value", [[], "none", False, 0])
def test_a_record_is_an_object_or_null(small_bundle: Path, edit_manifest: EditManifest, name: str, value: Any) -> None:
    message = f"manifest.json: {name!r} is {value!r}, not a dict"
    refused(small_bundle, edit_manifest, lambda m: m.update({name: value}), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("roles"), "parity lacks 'roles'"),
        (lambda p: p.update(roles={"denoiser": 0}), "parity: roles.denoiser is not a JSON object"),
        (lambda p: p["roles"]["denoiser"].update(logits="0"), "roles.denoiser: 'logits' is '0', not a float"),
        (lambda p: p.pop("pictures"), "parity lacks 'pictures'"),
        (lambda p: p["logits"].update(generations="2"), "parity: logits: 'generations' is '2', not a int"),
    ],
)
def test_a_damaged_parity(small_bundle: Path, edit_manifest: EditManifest, change: Change, message: str) -> None:
    refused(small_bundle, edit_manifest, lambda m: change(m["parity"]), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("evaluator"), "simulated lacks 'evaluator'"),
        (lambda s: s.update(reference=None), "simulated: 'reference' is None, not a str"),
        (lambda s: s.update(roles=[]), "simulated: 'roles' is [], not a dict"),
        (lambda s: s.update(logits=None), "simulated: 'logits' is None, not a dict"),
        (lambda s: s["pictures"].pop("ssim"), "simulated: pictures lacks 'ssim'"),
    ],
)
def test_a_damaged_simulation(
    simulated_bundle: Path, edit_manifest: EditManifest, change: Change, message: str
) -> None:
    refused(simulated_bundle, edit_manifest, lambda m: change(m["simulated"]), message)


@pytest.mark.parametrize("value", [None, 0, ["picture"]])
def test_a_layout_is_a_text(small_bundle: Path, edit_manifest: EditManifest, value: Any) -> None:
    message = f"graphs.denoiser: outputs[0]: 'layout' is {value!r}, not a str"
    refused(small_bundle, edit_manifest, lambda m: m["graphs"]["denoiser"]["outputs"][0].update(layout=value), message)


@pytest.mark.parametrize(("section", "name"), [("logits", "mean_kl"), ("pictures", "psnr")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_refused(
    quantized_bundle: Path, edit_manifest: EditManifest, section: str, name: str, value: float
) -> None:
    """Python reads NaN and Infinity, other languages' parsers do not; and no honest measurement is one."""
    edit_manifest(quantized_bundle, lambda m: m["quantization"][section].update({name: value}))
    with pytest.raises(BundleError):
        Bundle.open(quantized_bundle)
