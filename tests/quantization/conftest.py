"""Tiny bundles for all tests of this folder that need a real one."""

from dataclasses import replace
from pathlib import Path

import pytest

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.writer import BundleWriter
from tests.support.validated import Validated


@pytest.fixture(scope="session")
def tiny_bundle(validated: Validated) -> Bundle:
    """Random weights, with every kind of weight that export writes; read-only by convention."""
    return Bundle.open(validated.bundle)


@pytest.fixture(scope="session")
def ios17(tiny_coreml: Path) -> Bundle:
    """Random weights as Core ML packages in halves; read-only by convention."""
    return Bundle.open(tiny_coreml)


@pytest.fixture(scope="session")
def ios18(ios17: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The conditioner alone, for iOS 18: what the plan and one graph need of a bundle."""
    from amused_edge.export.checkpoint.checkpoint import open_checkpoint
    from amused_edge.export.coreml.target import CoreMLTarget
    from amused_edge.export.coreml.write import CoreMLOptions
    from amused_edge.export.graphs import GRAPHS

    writer = BundleWriter(tmp_path_factory.mktemp("ios18"))
    checkpoint, target = open_checkpoint(ios17.path.parent / "checkpoint"), CoreMLTarget(CoreMLOptions(ios=18))
    (spec,) = (spec for spec in GRAPHS if spec.role == "conditioner")
    inputs = spec.example(checkpoint, ios17.manifest.geometry, 2)
    entry = target.write(spec, spec.build(checkpoint).eval(), inputs, writer)
    manifest = replace(ios17.manifest, engine=target.engine_info(), graphs={spec.role: entry})
    return Bundle(writer.path, manifest)
