"""No name, link or reference of a bundle leaves its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import BundleError

Relist = Callable[[Path, str], None]
EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def load_denoiser(bundle: Path) -> Any:
    return load_graph(Bundle.open(bundle), "denoiser", EngineOptions())


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret",
        "a/../../secret",
        "a/..",
        "./a",
        "/etc/passwd",
        "//server/share",
        "..\\secret",
        "a\\b",
        "\\\\server\\share",
        "C:/secret",
        "C:secret",
        "a:stream",
        "a\0b",
    ],
)
@pytest.mark.parametrize("where", ["files", "graphs"])
def test_names_that_may_leave_the_folder_are_refused(
    small_bundle: Path, edit_manifest: EditManifest, where: str, name: str
) -> None:
    """On any system: a bundle made for one is opened on another."""

    def change(manifest: Any) -> None:
        entry = manifest["files"]["golden.json"] if where == "files" else manifest["graphs"]["denoiser"]["files"][1]
        entry["path"] = name

    edit_manifest(small_bundle, change)
    with pytest.raises(BundleError, match="may lie outside the bundle; do not use this bundle") as error:
        Bundle.open(small_bundle)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize("name", ["weights/denoiser.data", "..data", "a..b", ".hidden"])
def test_names_that_only_look_dangerous_are_taken(small_bundle: Path, edit_manifest: EditManifest, name: str) -> None:
    (small_bundle / name).parent.mkdir(exist_ok=True)
    (small_bundle / "golden.json").rename(small_bundle / name)
    edit_manifest(small_bundle, lambda manifest: manifest["files"]["golden.json"].update(path=name))
    assert Bundle.open(small_bundle).golden == small_bundle / name


def test_a_link_that_leaves_the_folder_is_refused(small_bundle: Path, tmp_path: Path) -> None:
    (small_bundle / "golden.json").rename(tmp_path / "outside")
    (small_bundle / "golden.json").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=r"golden\.json is a link that leaves the bundle; do not use this bundle"):
        Bundle.open(small_bundle)


def test_a_linked_folder_that_leaves_the_bundle_is_refused(
    small_bundle: Path, edit_manifest: EditManifest, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (small_bundle / "golden.json").rename(tmp_path / "outside" / "golden.json")
    (small_bundle / "inside").symlink_to(tmp_path / "outside")
    edit_manifest(small_bundle, lambda manifest: manifest["files"]["golden.json"].update(path="inside/golden.json"))
    with pytest.raises(BundleError, match="is a link that leaves the bundle"):
        Bundle.open(small_bundle)


# --- Weights that a model reads from elsewhere.


def point_weights_to(bundle: Path, relist: Relist, **reference: str) -> None:
    """Patch where the denoiser's weight lies, and make the manifest agree with the patched file."""
    import onnx
    from onnx import TensorProto

    file = bundle / "denoiser.onnx"
    model = onnx.load(file, load_external_data=False)
    tensor = model.graph.initializer[0]
    assert tensor.data_location == TensorProto.EXTERNAL
    kept = {entry.key: entry.value for entry in tensor.external_data}
    del tensor.external_data[:]
    for key, value in {**kept, **reference}.items():
        tensor.external_data.add(key=key, value=value)
    file.write_bytes(model.SerializeToString())
    relist(bundle, "denoiser.onnx")


@pytest.mark.parametrize("location", ["../x", "x", "", "a/../../x", "sub/denoiser.onnx.data", "tokenizer.json"])
def test_weights_outside_the_list_are_refused(small_bundle: Path, relist: Relist, location: str) -> None:
    """A hostile model must not read the user's files, even one that exists and would fit."""
    for place in (small_bundle.parent / "x", small_bundle / "x"):
        place.write_bytes(bytes(8))
    point_weights_to(small_bundle, relist, location=location)
    verification.verify(Bundle.open(small_bundle))
    with pytest.raises(BundleError, match="which the manifest does not list; do not use this bundle") as error:
        load_denoiser(small_bundle)
    assert f"reads weights from {location!r}" in str(error.value)


def test_weights_at_an_absolute_path_are_refused(small_bundle: Path, relist: Relist, tmp_path: Path) -> None:
    outside = tmp_path / "x"
    outside.write_bytes(bytes(8))
    point_weights_to(small_bundle, relist, location=str(outside))
    with pytest.raises(BundleError, match="which the manifest does not list"):
        load_denoiser(small_bundle)


@pytest.mark.parametrize(("offset", "length"), [("8", "8"), ("4", "8"), ("0", "9"), ("9", "0"), (str(2**62), "8")])
def test_weights_past_the_end_are_refused(small_bundle: Path, relist: Relist, offset: str, length: str) -> None:
    point_weights_to(small_bundle, relist, offset=offset, length=length)
    with pytest.raises(BundleError, match=r"reads past the end of .*denoiser\.onnx\.data; copy the bundle again"):
        load_denoiser(small_bundle)


def test_an_exported_model_that_reads_elsewhere_is_refused(bundle_copy: Path, relist: Relist) -> None:
    """The same on a real graph, through the public door of loading."""
    import onnx

    file = bundle_copy / "denoiser.onnx"
    model = onnx.load(file, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    next(entry for entry in tensor.external_data if entry.key == "location").value = "../x"
    file.write_bytes(model.SerializeToString())
    relist(bundle_copy, "denoiser.onnx")
    with pytest.raises(BundleError, match=r"reads weights from '\.\./x'"):
        load_denoiser(bundle_copy)
