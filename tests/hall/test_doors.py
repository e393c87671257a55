"""The doors between rooms: who may import whom, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("runtime", "export", "benchmarks", "quantization")
MAY_IMPORT = {
    "runtime": {"runtime"},
    "benchmarks": {"benchmarks", "runtime"},
    "export": {"export", "runtime", "benchmarks"},
    "quantization": {"quantization", "runtime", "benchmarks"},
    "amused_edge": set(ROOMS) | {"cli", "validation"},
}
# Library -> the only modules of the runtime that may import it.
ENGINE_LIBRARIES = {
    "onnxruntime": {"runtime/engines/onnx_runtime.py", "runtime/engines/onnx_prepared.py"},
    "coremltools": {"runtime/engines/mil/quiet_coremltools.py"},
}
NEVER_IN_RUNTIME = {"torch", "transformers", "diffusers", "onnx", "onnx_ir", "safetensors"}
# Whoever quantizes has a bundle, and needs nothing that only a checkpoint does.
NEVER_IN_QUANTIZATION = {"torch", "transformers", "diffusers", "safetensors", "huggingface_hub"}
METRICS = ("benchmarks/fidelity.py", "benchmarks/images.py", "benchmarks/distribution.py")


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module imported anywhere in a file, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


ALL = [(room, path) for room in MAY_IMPORT for path in sources(room)]


def test_the_sources_are_found() -> None:
    assert {room for room, _ in ALL} == set(MAY_IMPORT)


@pytest.mark.parametrize(("room", "path"), ALL, ids=lambda x: str(x.relative_to(ROOT)) if isinstance(x, Path) else x)
def test_a_room_imports_only_through_its_doors(room: str, path: Path) -> None:
    for name in imports(path):
        parts = name.split(".")
        assert parts[0] not in ROOMS, f"{path} imports {name} by its bare name"
        assert parts[0] != "tests", f"{path} imports {name}"
        if parts[0] == "amused_edge":
            assert len(parts) > 1, f"{path} imports the hall"
            assert parts[1] in MAY_IMPORT[room], f"{path} imports {name}"


@pytest.mark.parametrize("path", sources("runtime"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_runtime_is_light(path: Path) -> None:
    libraries = {name.split(".")[0] for name in imports(path)}
    assert not libraries & NEVER_IN_RUNTIME
    for library, modules in ENGINE_LIBRARIES.items():
        if library in libraries:
            assert str(path.relative_to(ROOT)) in modules


@pytest.mark.parametrize("path", sources("quantization"), ids=lambda p: str(p.relative_to(ROOT)))
def test_quantization_knows_no_torch(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & NEVER_IN_QUANTIZATION


@pytest.mark.parametrize("module", ["quantize", "search"])
def test_importing_quantization_loads_no_torch(module: str) -> None:
    """Nor through another library."""
    code = f"import sys, amused_edge.quantization.{module}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(("room", "path"), ALL, ids=lambda x: str(x.relative_to(ROOT)) if isinstance(x, Path) else x)
def test_nothing_imports_the_peers(room: str, path: Path) -> None:
    """They are measured in an environment of their own, with libraries that nothing else needs."""
    if path.parent != ROOT / "benchmarks" / "peers":
        assert not any(name.startswith("amused_edge.benchmarks.peers") for name in imports(path))


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_numpy_only(name: str) -> None:
    assert {module.split(".")[0] for module in imports(ROOT / name)} <= {"math", "numpy"}
