"""Two graphs of a tiny random checkpoint as Core AI packages in float32, and what stands beside them as an oracle."""

from dataclasses import replace
from pathlib import Path

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.writer import BundleWriter
from tests.support.coreai import FEW, MIXED, Found
from tests.support.made_once import made_once


@pytest.fixture(scope="session")
def halves(tiny_coreai: Path) -> Bundle:
    """All five graphs in halves; read-only by convention."""
    return Bundle.open(tiny_coreai)


@pytest.fixture(scope="session")
def floats(halves: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The text encoder and the denoiser in float32: what the plan and single graphs need of a bundle."""
    from amused_edge.export.checkpoint.checkpoint import open_checkpoint
    from amused_edge.export.coreai.target import CoreAITarget
    from amused_edge.export.coreai.write import CoreAIOptions
    from amused_edge.export.graphs import GRAPHS

    def write(root: Path) -> Bundle:
        checkpoint, target = open_checkpoint(halves.path.parent / "checkpoint"), CoreAITarget(CoreAIOptions("float32"))
        writer, entries = BundleWriter(root), {}
        for spec in GRAPHS:
            if spec.role in ("text_encoder", "denoiser"):
                inputs = spec.example(checkpoint, halves.manifest.geometry, 2)
                entries[spec.role] = target.write(spec, spec.build(checkpoint).eval(), inputs, writer)
        return Bundle(root, replace(halves.manifest, graphs=entries))

    return made_once(tmp_path_factory, "coreai-floats", write)


@pytest.fixture(scope="session")
def found(halves: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A search for a mixed recipe, with room for a step or two."""
    from amused_edge.quantization.coreai.plan import make_plan
    from amused_edge.quantization.coreai.trials import CoreAITrials
    from amused_edge.quantization.sensitivity.mixing import bundle_bytes
    from amused_edge.quantization.sensitivity.search import search

    budget = (bundle_bytes(CoreAITrials(halves, make_plan(halves, MIXED), {})) + 800) / 1e6

    def look(root: Path) -> Found:
        return Found(search(halves.path, root / "table", MIXED, FEW, budget=budget), root / "table", budget)

    return made_once(tmp_path_factory, "coreai-search", look)


@pytest.fixture(scope="session")
def made(halves: Bundle, found: Found, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of the recipe that was found; read-only by convention."""
    from amused_edge.quantization.quantize import quantize_bundle

    recipe = found.folder / "recipe.json"
    return made_once(
        tmp_path_factory, "coreai-made", lambda root: quantize_bundle(halves.path, root / "made", recipe, FEW)
    )
