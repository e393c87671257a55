"""Which engine a bundle gets, and Core ML bundles by the evaluator: packages of one operation or two."""

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools import ImageType, colorlayout
from coremltools.converters.mil import Builder as mb  # noqa: N813  as in all of its documentation
from coremltools.converters.mil.mil import types

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.errors import BundleError, GraphError, OptionsError

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]

HALF = EngineOptions(simulate="half")
FLOAT = EngineOptions(simulate="float")


def spec(name: str, dtype: str, *shape: int, layout: str = "array") -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape), "layout": layout}


@pytest.fixture(scope="module")
def packages(save_program: Callable[..., Path]) -> dict[str, Path]:
    """The denoiser y = 1.1 x + 0.1 in halves; the image decoder, from picture to picture, y = 100.25 x."""

    def denoiser(x: Any) -> Any:
        return mb.add(x=mb.mul(x=x, y=np.float16(1.1)), y=np.float16(0.1), name="y")

    def decoder(image: Any) -> Any:
        return mb.mul(x=image, y=np.float32(100.25), name="y")

    picture = ImageType("image", shape=(1, 3, 2, 4), color_layout=colorlayout.RGB)
    return {
        "denoiser": save_program(denoiser, mb.TensorSpec((1, 3), types.fp16), name="denoiser"),
        "image_decoder": save_program(decoder, (1, 3, 2, 4), name="image_decoder", inputs=[picture]),
    }


@pytest.fixture
def coreml_bundle(small_bundle: Path, edit_manifest: EditManifest, packages: dict[str, Path]) -> Path:
    """The small bundle with these packages in place of its graphs."""
    specs = {
        "denoiser": (spec("x", "float16", 1, 3), spec("y", "float16", 1, 3)),
        "image_decoder": (
            spec("image", "uint8", 1, 2, 4, 3, layout="picture"),
            spec("y", "uint8", 1, 2, 4, 3, layout="picture"),
        ),
    }

    def change(manifest: dict[str, Any]) -> None:
        manifest["target"] = "coreml"
        for role, package in packages.items():
            shutil.copytree(package, small_bundle / package.name)
            size = (package / "Manifest.json").stat().st_size
            entry = {"path": f"{package.name}/Manifest.json", "bytes": size, "sha256": ""}
            given, got = specs[role]
            manifest["graphs"][role] |= {"files": [entry], "inputs": [given], "outputs": [got]}

    edit_manifest(small_bundle, change)
    return small_bundle


def load(bundle: Path, options: EngineOptions, role: str = "denoiser") -> Graph:
    return load_graph(Bundle.open(bundle), role, options)


X = np.array([[1, -2, 1e-3], [300, 7, 0.3], [0, 1000, -5]], np.float16)


# --- The evaluator as an engine.


def test_half_simulation_rounds_as_halves_do(coreml_bundle: Path) -> None:
    found = load(coreml_bundle, HALF)({"x": X[:1]})["y"]
    assert found.dtype == np.float16
    assert np.array_equal(found, X[:1] * np.float16(1.1) + np.float16(0.1))


def test_float_simulation_rounds_once(coreml_bundle: Path) -> None:
    """At the end, to the type that the manifest states."""
    found = load(coreml_bundle, FLOAT)({"x": X[:1]})["y"]
    exact = X[:1].astype(np.float64) * float(np.float16(1.1)) + float(np.float16(0.1))
    assert np.array_equal(found, exact.astype(np.float16))


def test_several_rows_are_each_computed_alone(coreml_bundle: Path) -> None:
    graph = load(coreml_bundle, HALF)
    rows = [graph({"x": X[i : i + 1]})["y"] for i in range(3)]
    assert np.array_equal(graph({"x": X})["y"], np.concatenate(rows))


def test_threads_may_load_programs_at_the_same_time(coreml_bundle: Path, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(4) as pool:
        for graph in pool.map(partial(load, coreml_bundle, HALF), ["denoiser", "image_decoder"] * 32):
            assert graph


def test_pictures_go_in_and_come_out_as_pixels(coreml_bundle: Path) -> None:
    """(height, width, 3) outside, planes inside; whole numbers from 0 to 255."""
    image = np.zeros((2, 2, 4, 3), np.uint8)
    image[0, 1, 3] = 0, 1, 2
    image[1, 0, 2] = 3, 0, 1
    found = load(coreml_bundle, HALF, "image_decoder")({"image": image})["y"]
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.array_equal(found, np.minimum(np.rint(image * 100.25), 255).astype(np.uint8))
    assert found[0, 1, 3].tolist() == [0, 100, 200]
    assert found[1, 0, 2].tolist() == [255, 0, 100]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": X[:, :2]}, r"denoiser: x has shape \[1, 2\], the graph takes \[1, 3\]"),
        ({"x": X[0]}, r"denoiser: x has shape \[1\], the graph takes \[1, 3\]"),
        ({"x": X.astype(np.complex64)}, "denoiser: x is complex64, the graph takes float16"),
        ({"z": X}, r"denoiser takes \['x'\], it was given \['z'\]"),
        ({"x": X, "z": X}, r"denoiser takes \['x'\], it was given \['x', 'z'\]"),
    ],
)
def test_wrong_inputs_are_refused(coreml_bundle: Path, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=f"^{message}$"):
        load(coreml_bundle, HALF)(inputs)


def test_a_closed_graph_cannot_be_called(coreml_bundle: Path) -> None:
    graph = load(coreml_bundle, HALF)
    graph.close()
    graph.close()
    with pytest.raises(GraphError, match="denoiser was closed; make a new pipeline"):
        graph({"x": X})


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_manifest_that_names_what_the_program_has_not(
    coreml_bundle: Path, edit_manifest: EditManifest, side: str
) -> None:
    edit_manifest(coreml_bundle, lambda m: m["graphs"]["denoiser"][side][0].update(name="q"))
    with pytest.raises((GraphError, BundleError)) as error:
        load(coreml_bundle, HALF)({"q" if side == "inputs" else "x": X[:1]})
    assert "denoiser" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_package_that_is_damaged(coreml_bundle: Path) -> None:
    """Its size is that of the manifest, so that opening the bundle sees nothing."""
    (coreml_bundle / "denoiser.mlpackage/Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff\xff")
    with pytest.raises(BundleError, match=r"denoiser\.mlpackage is no Core ML package that can be read"):
        load(coreml_bundle, HALF)


# --- Which engine.


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has the engine")
def test_core_ml_itself_is_for_apples_systems(coreml_bundle: Path) -> None:
    with pytest.raises(GraphError) as error:
        load(coreml_bundle, EngineOptions())
    assert str(error.value) == (
        f"{coreml_bundle} is for Core ML, which runs on Apple's systems only; to compute it here with the NumPy "
        "evaluator, choose simulate: 'half' or 'float'"
    )


def forget_core_ml(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had imported these modules yet."""
    for name in list(sys.modules):
        if name.startswith(("amused_edge.runtime.engines.coreml.", "amused_edge.runtime.engines.coreml.mac")):
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(("platform", "options"), [(sys.platform, HALF), ("darwin", EngineOptions())])
def test_without_coremltools_the_extra_is_named(
    coreml_bundle: Path, monkeypatch: pytest.MonkeyPatch, platform: str, options: EngineOptions
) -> None:
    bundle = Bundle.open(coreml_bundle)
    forget_core_ml(monkeypatch)
    monkeypatch.setitem(sys.modules, "coremltools", None)
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(GraphError) as error:
        load_graph(bundle, "denoiser", options)
    assert str(error.value) == (
        "Core ML bundles need coremltools, which is not installed: pip install 'amused-edge[coreml]'"
    )


def test_another_missing_module_is_not_taken_for_coremltools(
    coreml_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the advice to install the extra would hide what is wrong."""
    forget_core_ml(monkeypatch)
    monkeypatch.setitem(sys.modules, "amused_edge.runtime.engines.coreml.operators", None)
    with pytest.raises(ModuleNotFoundError, match="operators"):
        load_graph(Bundle.open(coreml_bundle), "denoiser", HALF)


@pytest.mark.parametrize("options", [HALF, FLOAT])
def test_onnx_bundles_are_not_simulated(small_bundle: Path, options: EngineOptions) -> None:
    with pytest.raises(OptionsError, match="is for ONNX, whose engine runs here; simulate is for Core ML bundles"):
        load(small_bundle, options)


def test_onnx_bundles_get_onnx_runtime(small_bundle: Path) -> None:
    assert load(small_bundle, EngineOptions())({"x": np.float32([1, 1])})["y"].tolist() == [2, 3]


@pytest.mark.parametrize("options", [EngineOptions(), HALF])
def test_an_unknown_target(small_bundle: Path, edit_manifest: EditManifest, options: EngineOptions) -> None:
    edit_manifest(small_bundle, lambda m: m.update(target="abacus"))
    with pytest.raises(BundleError, match="has the target 'abacus', which this amused-edge cannot run; upgrade"):
        load(small_bundle, options)
