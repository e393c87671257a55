"""Fixtures that several rooms' tests share: the demo checkpoint and its bundle, tiny random checkpoints, and what
`amused-edge validate` makes of one.
"""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from amused_edge.runtime.system import cache_folder
from tests.support.checkpoints import TINY_COREML, write_checkpoint
from tests.support.latency_run import LatencyRun, measure_latency
from tests.support.made_once import made_once
from tests.support.paths import DEMO_CHECKPOINT, ROOT
from tests.support.quick_coremltools import quick_coremltools
from tests.support.quick_torch import quick_torch
from tests.support.validated import Validated, _validate

# Nothing may be fetched while tests run, and what is remembered about verified bundles stays out of the user's cache.
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell's jobs in the background inherit that Ctrl-C is ignored, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Threads of several workers would wait for each other at every barrier, and spin meanwhile: each worker has a processor
# of its own. Set before NumPy or torch is imported; what tests start inherits it.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[int(worker.removeprefix("gw")) % len(allowed)]})


# What is imported stays: Python need not look through millions of objects again and again for cycles of them, neither
# while they are made nor later.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_folder, "_NOTED", set())


@pytest.fixture(scope="session", autouse=True)
def quick_exports() -> Iterator[None]:
    """Exports of this process leave out what is the same in each; tests without the exporters do not import them."""
    with ExitStack() as stack:
        if "torch" in sys.modules:
            stack.enter_context(quick_torch())
        if "coremltools" in sys.modules:
            stack.enter_context(quick_coremltools())
        yield


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    return DEMO_CHECKPOINT


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo checkpoint exported once per test session; read-only by convention."""
    from amused_edge.export.bundle_export import export_bundle

    return made_once(tmp_path_factory, "demo", lambda root: export_bundle(DEMO_CHECKPOINT, root / "demo").path)


@pytest.fixture
def bundle_copy(demo_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the demo bundle that a test may damage."""
    return Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))


QUICK = {"calibration_prompts": 2, "fidelity_prompts": 2}


@pytest.fixture(scope="session")
def demo_prompts() -> tuple[str, ...]:
    from amused_edge.runtime.tasks.prompt_file import read_prompts

    return read_prompts(ROOT / "demo" / "prompts.txt")


@pytest.fixture(scope="session")
def quantized_demo(
    demo_bundle: Path, demo_prompts: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return `quantized_demo(recipe)`: the demo bundle by a named recipe, with few prompts, made once per session."""
    from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle

    options = QuantizeOptions(demo_prompts, **QUICK)

    @cache
    def make(recipe: str) -> Path:
        return made_once(
            tmp_path_factory,
            f"demo-{recipe}",
            lambda root: quantize_bundle(demo_bundle, root / recipe, recipe, options).path,
        )

    return make


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Return `make(uvit={...}, vqgan={...}, text={...})`: saves a tiny random checkpoint in diffusers layout."""

    def make(name: str = "tiny", **options: Any) -> Path:
        return write_checkpoint(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def demo_coreml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo checkpoint as Core ML packages in halves, for iOS 17; its own steps are few, to be drawn quickly."""
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.sampling.options import GenerationOptions

    few = ExportOptions(sampler=GenerationOptions(steps=4))
    return made_once(
        tmp_path_factory,
        "demo-coreml",
        lambda root: export_bundle(DEMO_CHECKPOINT, root / "demo", few, target="coreml").path,
    )


@pytest.fixture(scope="session")
def tiny_coreml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint as Core ML packages in halves, for iOS 17: 8 x 12 pixels, every kind of weight."""
    return made_once(tmp_path_factory, "tiny-coreml", lambda root: _export_tiny(root, "coreml"))


@pytest.fixture(scope="session")
def tiny_coreml_w8(tiny_coreml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That bundle by recipe w8, measured with one prompt."""
    from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle

    one = QuantizeOptions(["a fox"], fidelity_prompts=1)
    return made_once(
        tmp_path_factory, "tiny-coreml-w8", lambda root: quantize_bundle(tiny_coreml, root / "w8", "w8", one).path
    )


def _export_tiny(root: Path, target: str) -> Path:
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.sampling.options import GenerationOptions

    checkpoint = write_checkpoint(root / "checkpoint", uvit=TINY_COREML)
    options = ExportOptions(8, 12, GenerationOptions(steps=3, guidance_scale=2.5), name="tiny")
    return export_bundle(checkpoint, root / "tiny", options, target=target).path


@pytest.fixture(scope="session")
def tiny_coreai(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as Core AI packages in halves."""
    return made_once(tmp_path_factory, "tiny-coreai", lambda root: _export_tiny(root, "coreai"))


@pytest.fixture(scope="session")
def demo_coreai(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo checkpoint as Core AI packages in float32; its own steps are few, to be drawn quickly."""
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.export.targets import make_target
    from amused_edge.runtime.sampling.options import GenerationOptions

    few, target = ExportOptions(sampler=GenerationOptions(steps=4)), make_target("coreai", precision="float32")
    return made_once(
        tmp_path_factory,
        "demo-coreai",
        lambda root: export_bundle(DEMO_CHECKPOINT, root / "demo", few, target=target).path,
    )


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    """One run of `amused-edge validate`; the checkpoint has every kind of weight that export writes."""
    return made_once(tmp_path_factory, "validated", _validate)


@pytest.fixture(scope="session")
def latency_run(validated: Validated, tmp_path_factory: pytest.TempPathFactory) -> LatencyRun:
    """One run of `amused-edge bench latency`, of that bundle beside itself."""
    return made_once(tmp_path_factory, "latency", lambda root: measure_latency(root, validated.bundle))
