"""The Core ML engine. What needs a Mac is marked `macos`; the rest is what stands between arrays and Core ML."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder
from PIL import Image

from amused_edge.runtime.bundle.graph_entry import TensorSpec
from amused_edge.runtime.engines.coreml import mac
from amused_edge.runtime.engines.coreml.mac import _given, _taken
from amused_edge.runtime.engines.options import COMPUTE_UNITS, EngineOptions
from amused_edge.runtime.errors import AmusedEdgeWarning, BundleError, GraphError

PICTURE = TensorSpec("image", "uint8", (1, 4, 6, 3), "picture")


def on_a_mac(test: object) -> object:
    skipped = pytest.mark.skipif(sys.platform != "darwin", reason="needs a Mac")
    return pytest.mark.macos(skipped(test))  # type: ignore[arg-type]


def test_a_picture_goes_to_core_ml_and_back_unchanged() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3), np.uint8)
    given = _given(PICTURE, picture)
    assert isinstance(given, Image.Image)
    assert given.size == (6, 4)
    np.testing.assert_array_equal(_taken(PICTURE, given), picture)
    np.testing.assert_array_equal(_taken(PICTURE, given.convert("RGBA")), picture)


def test_halves_are_given_as_float32_and_taken_as_the_manifest_says() -> None:
    spec = TensorSpec("pooled", "float16", (1, 3))
    value = np.array([[1.5, -2.25, 65504.0]], np.float16)
    given = _given(spec, value)
    assert given.dtype == np.float32
    taken = _taken(spec, given)
    assert taken.dtype == np.float16
    np.testing.assert_array_equal(taken, value)


def test_tokens_stay_whole_numbers() -> None:
    spec = TensorSpec("tokens", "int32", (1, 2, 2))
    value = np.arange(4, dtype=np.int32).reshape(1, 2, 2)
    assert _given(spec, value).dtype == np.int32
    assert _taken(spec, value.astype(np.float64)).dtype == np.int32


def test_a_full_disk_is_no_matter_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever kept a package from being compiled, a user was told about the version of macOS."""

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mac, "_compiled", full)
    bundle: Any = SimpleNamespace(path="fox", graph=lambda _: None)
    with pytest.raises(GraphError, match="No space left on device") as error:
        mac.CoreMLGraph(bundle, "denoiser", EngineOptions())
    assert "macOS" not in str(error.value)


def test_nothing_is_compiled_that_reads_from_elsewhere(
    save_program: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluator checked that, and not the engine that apps have."""
    weight, given = np.ones((8, 8), np.float32), list[str]()
    package = save_program(lambda x: Builder.linear(x=x, weight=weight, name="y"), (1, 8))
    monkeypatch.setattr(mac, "package", lambda *_: package)
    monkeypatch.setattr(mac.ct.models.utils, "compile_model", lambda source, _: given.append(source))
    bundle: Any = SimpleNamespace(links=False)
    mac._compile(bundle, "denoiser", tmp_path / "good")
    assert given == [str(package)]
    model = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.write_bytes(model.read_bytes().replace(b"weights/weight.bin", b"weights/other_.bin"))
    with pytest.raises(BundleError, match=r"reads weights from '@model_path/weights/other_\.bin', outside of it"):
        mac._compile(bundle, "denoiser", tmp_path / "bad")
    assert given == [str(package)]


@on_a_mac
@pytest.mark.parametrize("unit", COMPUTE_UNITS)
def test_each_processor_computes_what_the_evaluator_does(demo_coreml: Path, unit: str) -> None:
    from amused_edge.benchmarks.scripts.mac_report import EVALUATOR, UNITS, measure
    from amused_edge.runtime.bundle.folder import Bundle

    report = measure(Bundle.open(demo_coreml), UNITS[unit], EVALUATOR, ["a panda"], calls=1)
    assert report.golden.same_ids
    assert report.fidelity.logits.mean_kl <= 2e-3
    assert report.fidelity.pictures.psnr is None or report.fidelity.pictures.psnr >= 45


@on_a_mac
def test_a_package_is_compiled_once(demo_coreml: Path, tmp_path: Path) -> None:
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.engines.coreml.mac import _compiled

    bundle = Bundle.open(demo_coreml)
    first = _compiled(bundle, "text_encoder", tmp_path)
    made = first.stat().st_mtime_ns
    assert _compiled(bundle, "text_encoder", tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in first.parent.iterdir()] == ["text_encoder.mlmodelc"]


def test_a_package_is_compiled_into_a_temporary_folder_where_none_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that may not be written to, or none at all, ended in a bare error of the system."""
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.engines.coreml import mac as coreml
    from amused_edge.runtime.system import cache_folder

    def compile_model(_: str, target: str) -> None:
        Path(target).mkdir()

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(mac, "check_package", lambda _: None)
    monkeypatch.setattr(coreml, "package", lambda *_: tmp_path)
    monkeypatch.setattr(coreml.verification, "fingerprint", lambda *_: "0" * 64)
    monkeypatch.setattr(coreml.ct.models.utils, "compile_model", compile_model)
    bundle: Any = Bundle(tmp_path, SimpleNamespace(graphs={"denoiser": SimpleNamespace(files=())}))  # type: ignore[arg-type]
    with pytest.warns(AmusedEdgeWarning, match="cannot be used"):
        compiled = coreml._compiled(bundle, "denoiser", tmp_path)
    assert compiled == tmp_path / "denoiser.mlmodelc"
    monkeypatch.setattr(cache_folder, "folder", lambda _: None)
    with pytest.warns(AmusedEdgeWarning, match="no home folder"):
        assert coreml._compiled(bundle, "text_encoder", tmp_path).is_dir()
