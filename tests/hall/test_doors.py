"""The doors between rooms, and between the rooms within them: who may import whom, read from the sources."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ROOMS = ("runtime", "export", "benchmarks", "quantization", "conformance", "serve")
MAY_IMPORT = {
    "runtime": {"runtime"},
    "benchmarks": {"benchmarks", "runtime"},
    "export": {"export", "runtime", "benchmarks"},
    "quantization": {"quantization", "runtime", "benchmarks"},
    "conformance": {"conformance", "runtime"},
    "serve": {"serve", "runtime"},
    "amused_edge": set(ROOMS) | {"cli", "conversion", "validation"},
}

# Room within a room -> the places that it does not know. A place ends in a dot where all below it is meant.
UNKNOWN = {
    "runtime/system": (
        "runtime.bundle.",
        "runtime.engines.",
        "runtime.sampling.",
        "runtime.drawing.",
        "runtime.tasks.",
    ),
    "runtime/sampling": (
        "runtime.engines.",
        "runtime.bundle.",
        "runtime.drawing.",
        "runtime.pictures.",
        "runtime.tasks.",
    ),
    "runtime/bundle": ("runtime.engines.", "runtime.drawing.", "runtime.pictures.", "runtime.tasks."),
    "runtime/hub": (
        "runtime.bundle.",
        "runtime.engines.",
        "runtime.sampling.",
        "runtime.drawing.",
        "runtime.pictures.",
        "runtime.tasks.",
    ),
    "runtime/bundle/card": ("runtime.hub.download", "runtime.hub.upload", "runtime.hub.refusals"),
    "runtime/tasks": ("runtime.engines.", "runtime.drawing.", "runtime.video."),
    "runtime/drawing": (
        "runtime.engines.onnx.",
        "runtime.engines.coreml.",
        "runtime.engines.coreai.",
        "runtime.video.",
    ),
    "runtime/video": (
        "runtime.engines.onnx.",
        "runtime.engines.coreml.",
        "runtime.engines.coreai.",
        "runtime.pictures.",
    ),
    "benchmarks/metrics": ("runtime.", "benchmarks.subjects.", "benchmarks.report."),
    "benchmarks/cluster": (
        "benchmarks.subjects.",
        "benchmarks.metrics.",
        "benchmarks.report.",
        "benchmarks.latency.",
        "benchmarks.quality.",
        "benchmarks.compare.",
    ),
    "benchmarks/report": ("benchmarks.latency.", "benchmarks.quality.", "benchmarks.compare."),
    "benchmarks/subjects": ("benchmarks.latency.", "benchmarks.quality.", "benchmarks.compare.", "benchmarks.report."),
    "export/modules": ("export.onnx.", "export.coreml.", "export.coreai."),
    "export/checkpoint": ("export.onnx.", "export.coreml.", "export.coreai."),
    "export/onnx": ("export.coreml.", "export.coreai."),
    "export/coreml": ("export.onnx.", "export.coreai."),
    "export/coreai": ("export.onnx.", "export.coreml."),
    "quantization/recipes": ("quantization.onnx.", "quantization.coreml.", "quantization.coreai."),
    "quantization/sensitivity": ("quantization.onnx.", "quantization.coreml.", "quantization.coreai."),
    "quantization/rounding": ("quantization.onnx.", "quantization.coreml.", "quantization.coreai."),
    "quantization/onnx": ("quantization.coreml.", "quantization.coreai."),
    "quantization/coreml": ("quantization.onnx.", "quantization.coreai."),
    "quantization/coreai": ("quantization.onnx.", "quantization.coreml."),
    "serve/drawing": ("serve.http.", "serve.api.", "serve.site", "serve.app"),
    "serve/http": ("serve.drawing.", "serve.api.", "serve.site", "serve.app"),
}

# Library -> the only modules of the runtime that may import it.
ENGINE_LIBRARIES = {
    "onnxruntime": {f"runtime/engines/onnx/{name}.py" for name in ("session", "prepared", "signed_products")},
    "coremltools": {"runtime/engines/coreml/quiet_coremltools.py"},
    "huggingface_hub": {f"runtime/hub/{name}.py" for name in ("address", "download", "refusals", "upload")},
    "coreai": {f"runtime/engines/coreai/{name}.py" for name in ("worker", "program", "constants", "products")},
}
NEVER_IN_RUNTIME = {"torch", "transformers", "diffusers", "onnx", "onnx_ir", "safetensors"}
# Whoever quantizes has a bundle, and needs nothing that only a checkpoint does.
NEVER_IN_QUANTIZATION = {"torch", "transformers", "diffusers", "safetensors", "huggingface_hub"}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module imported anywhere in a file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def ours(path: Path) -> Iterator[str]:
    """The modules of this package that a file imports, without the package's name."""
    for name in imports(path):
        if name.startswith("amused_edge."):
            yield name.removeprefix("amused_edge.")


def libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_sources_are_found() -> None:
    assert all(len(sources(room)) > 10 for room in MAY_IMPORT)
    assert all(len(sources(room)) > 1 for room in UNKNOWN)
    assert {"numpy", "amused_edge.runtime.arrays.FloatArray"} <= imports(ROOT / "runtime/sampling/sampler.py")


def test_a_room_imports_only_through_its_doors() -> None:
    wrong = [
        f"{relative(path)} imports {name}"
        for room, allowed in MAY_IMPORT.items()
        for path in sources(room)
        for name in ours(path)
        if name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_rooms_are_imported_by_their_full_names() -> None:
    wrong = [
        f"{relative(path)} imports {name}"
        for room in MAY_IMPORT
        for path in sources(room)
        for name in imports(path)
        if name.split(".")[0] in (*ROOMS, "tests") or name == "amused_edge"
    ]
    assert wrong == []


def test_rooms_within_rooms_have_doors_too() -> None:
    wrong = [
        f"{relative(path)} imports {name}"
        for folder, unknown in UNKNOWN.items()
        for path in sources(folder)
        for name in ours(path)
        if f"{name}.".startswith(unknown)
    ]
    assert wrong == []


def test_the_runtime_is_light() -> None:
    for path in sources("runtime"):
        assert not libraries(path) & NEVER_IN_RUNTIME, path
        for library, modules in ENGINE_LIBRARIES.items():
            assert library not in libraries(path) or relative(path) in modules


def test_quantization_knows_no_torch() -> None:
    assert [path for path in sources("quantization") if libraries(path) & NEVER_IN_QUANTIZATION] == []


@pytest.mark.parametrize("module", ["quantize", "sensitivity.search"])
def test_importing_quantization_loads_no_torch(module: str) -> None:
    """Nor through another library."""
    code = f"import sys, amused_edge.quantization.{module}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_server_knows_no_checkpoints() -> None:
    """It runs where only the runtime and its own extra are installed."""
    assert [path for path in sources("serve") if libraries(path) & NEVER_IN_RUNTIME] == []


def test_nothing_imports_peers_and_rivals() -> None:
    """They are measured in an environment of their own, with libraries that nothing else needs; rivals know peers."""
    inside = ("benchmarks.peers", "benchmarks.rivals")
    places = ("benchmarks/peers/", "benchmarks/rivals/")
    others = [p for room in MAY_IMPORT for p in sources(room) if not relative(p).startswith(places)]
    assert [path for path in others if any(name.startswith(inside) for name in ours(path))] == []
    knowing = [path for path in sources("benchmarks/peers") if any(n.startswith(inside[1]) for n in ours(path))]
    assert knowing == []


def test_one_room_alone_knows_ray() -> None:
    """And of that room, only what is opened once a cluster is asked for."""
    knowing = {relative(path) for room in MAY_IMPORT for path in sources(room) if "ray" in libraries(path)}
    assert knowing == {"benchmarks/cluster/connect.py", "benchmarks/cluster/ray_crew.py"}


def test_metrics_are_numpy_only() -> None:
    for path in sources("benchmarks/metrics"):
        allowed = {name for name in libraries(path) if name not in sys.stdlib_module_names} - {"numpy"}
        assert allowed <= {"amused_edge"}, path


def test_every_folder_of_sources_is_a_package_and_listed() -> None:
    """The list is written by hand, because folders of the root are packages within the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    folders = {path.parent for room in MAY_IMPORT for path in sources(room)}
    assert [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
    names = {relative(folder).replace("/", ".") for folder in folders}
    assert sorted(listed) == sorted(name if name.startswith("amused_edge") else f"amused_edge.{name}" for name in names)
    assert len(listed) == len(set(listed))
