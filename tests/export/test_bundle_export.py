"""The manifest of an export, its options, and what it refuses."""

import math
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from amused_edge.export import parity
from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import GRAPHS
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES, Geometry, Manifest
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import OptionsError, OutputExistsError
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.paths import DEMO_CHECKPOINT
from tests.support.tiny_export import TinyExport


@pytest.fixture(scope="module")
def demo(demo_bundle: Path) -> Manifest:
    return Bundle.open(demo_bundle).manifest


def test_demo_geometry_comes_from_the_checkpoint(demo: Manifest) -> None:
    assert demo.geometry == Geometry(64, 64, 16, 16, 256, 319, 77)


def test_height_and_width_override_the_geometry(tiny_export: TinyExport) -> None:
    assert tiny_export.bundle.manifest.geometry == Geometry(8, 12, 4, 6, 32, 39, 77)


def test_sampler_comes_from_generation_config(demo: Manifest) -> None:
    assert demo.sampler == SamplerSettings(12, 1.25, (2.0, 0.0), "cosine")


def test_sampler_options_override_it(tiny_export: TinyExport) -> None:
    assert tiny_export.bundle.manifest.sampler == SamplerSettings(3, 2.5, 1.5, "linear")


def test_model_info(demo: Manifest, tiny_export: TinyExport) -> None:
    assert demo.target == "onnx"
    assert demo.model.name == demo.model.source == "checkpoint"
    assert demo.model.license == open_checkpoint(DEMO_CHECKPOINT).license != "unknown"
    tiny = tiny_export.bundle.manifest.model
    assert (tiny.name, tiny.source, tiny.license) == ("tiny", "checkpoint", "unknown")


def test_tools_and_engine_versions(demo: Manifest) -> None:
    for package in ("amused-edge", "torch", "onnx", "onnxruntime", "onnxscript", "transformers", "tokenizers", "numpy"):
        assert demo.tools[package] == version(package)
    assert demo.tools["python"].startswith("3.")
    assert (demo.engine.name, demo.engine.version) == ("onnxruntime", version("onnxruntime"))


@pytest.mark.parametrize("which", ["tiny", "demo"])
def test_parity_is_recorded_and_within_tolerance(which: str, demo: Manifest, tiny_export: TinyExport) -> None:
    manifest = demo if which == "demo" else tiny_export.bundle.manifest
    assert manifest.parity is not None
    roles, logits, pictures = manifest.parity.roles, manifest.parity.logits, manifest.parity.pictures
    assert set(roles) == set(ROLES) == set(manifest.graphs)
    for spec in GRAPHS:
        assert set(roles[spec.role]) == set(spec.outputs)
        for name, error in roles[spec.role].items():
            limit = {"tokens": parity.CODE_TOLERANCE, "image": parity.PIXEL_TOLERANCE}.get(name, parity.FLOAT_TOLERANCE)
            assert 0 <= error <= limit
    g = manifest.geometry
    assert logits.generations == 1
    assert g.grid_height * g.grid_width < logits.rows < g.grid_height * g.grid_width * manifest.sampler.steps
    assert 0 <= logits.mean_kl <= parity.KL_TOLERANCE
    assert logits.mean_kl <= logits.max_kl < math.inf
    assert 0 < logits.max_logit_error <= 1e-4
    assert 0 <= logits.total_variation <= 1e-3
    for share in (logits.top1, logits.top5, logits.equal_draws, logits.confidence_correlation):
        assert 0.97 <= share <= 1
    assert pictures.psnr is None or pictures.psnr > 48
    assert (pictures.ssim is None) == (which == "tiny")
    assert pictures.ssim is None or 0.999 < pictures.ssim <= 1
    assert 0.95 <= pictures.equal_codes <= 1


@pytest.mark.parametrize("which", ["tiny", "demo"])
def test_an_export_is_not_quantized(which: str, demo: Manifest, tiny_export: TinyExport) -> None:
    manifest = demo if which == "demo" else tiny_export.bundle.manifest
    assert manifest.quantization is None
    for graph in manifest.graphs.values():
        assert graph.tensors == {}
        assert graph.stored_precision == graph.executed_precision == "float32"


def test_files_are_those_of_the_manifest_and_whole(demo_bundle: Path) -> None:
    bundle = Bundle.open(demo_bundle)
    listed = {entry.path for entry in bundle.manifest.all_files()}
    assert {path.name for path in demo_bundle.iterdir()} == listed | {"manifest.json", "README.md"}
    assert {"golden.json", "tokenizer.json"} <= listed
    verification.verify(bundle)


def test_manifest_survives_reading_and_writing(demo: Manifest) -> None:
    assert Manifest.from_json(demo.to_json()) == demo


def test_golden_output_is_reproduced(demo_bundle: Path) -> None:
    with AmusedPipeline(Bundle.open(demo_bundle), EngineOptions()) as pipeline:
        report = golden_check.compare(pipeline)
    assert report.same_ids
    assert report.logit_error <= 1e-5
    assert report.equal_tokens == 1
    assert report.pixel_error == 0


def test_stages_are_announced_in_order(tiny_export: TinyExport) -> None:
    descriptions, indices, totals = zip(*tiny_export.stages, strict=True)
    assert descriptions[1:-1] == tuple(f"exporting {role}" for role in ROLES)
    assert indices == tuple(range(len(ROLES) + 2))
    assert set(totals) == {len(ROLES) + 2}


class Watcher:
    """Notes the stages; what is refused early must not reach "exporting"."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def __call__(self, description: str, index: int, total: int) -> None:
        self.stages.append(description)


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    assert not any(stage.startswith("exporting") for stage in watcher.stages)


@pytest.mark.parametrize("sides", [{"height": 62}, {"width": 100}, {"height": 64, "width": 4}], ids=str)
def test_sides_that_do_not_fit_are_refused(sides: dict[str, int], tmp_path: Path, watcher: Watcher) -> None:
    name = list(sides)[-1]
    with pytest.raises(ExportError, match=rf"{name} is {sides[name]}; .* multiples of 8"):
        export_bundle(DEMO_CHECKPOINT, tmp_path / "out", ExportOptions(**sides), on_stage=watcher)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [0, -8, 64.0, True, "64"])
def test_sides_that_are_no_whole_numbers_are_refused(value: Any, tmp_path: Path, watcher: Watcher) -> None:
    with pytest.raises(OptionsError, match="width is"):
        export_bundle(DEMO_CHECKPOINT, tmp_path / "out", ExportOptions(width=value), on_stage=watcher)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_an_existing_output_is_refused_before_any_work(kind: str, tmp_path: Path, watcher: Watcher) -> None:
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError, match="exists"):
        export_bundle(tmp_path / "no-checkpoint", out, on_stage=watcher)
    assert watcher.stages == []
    assert list(tmp_path.iterdir()) == [out]
    assert kind != "file" or out.read_text() == "mine"


def test_an_unknown_target_is_refused_before_any_work(tmp_path: Path, watcher: Watcher) -> None:
    with pytest.raises(ExportError, match="target is 'tflite'"):
        export_bundle(tmp_path / "no-checkpoint", tmp_path / "out", target="tflite", on_stage=watcher)
    assert watcher.stages == []
