"""One tiny export for all tests of this folder that need a real bundle."""

import pytest

from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.options import GenerationOptions
from tests.conftest import write_checkpoint


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Random weights, with every kind of weight that export writes; read-only by convention."""
    root = tmp_path_factory.mktemp("quantization")
    folder = write_checkpoint(root / "checkpoint", uvit={"downsample": True, "upsample": True})
    options = ExportOptions(sampler=GenerationOptions(steps=3, guidance_scale=2.0), name="tiny")
    return export_bundle(folder, root / "tiny", options)
