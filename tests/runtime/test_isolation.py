"""The runtime works where nothing but its own dependencies is installed."""

import subprocess
import sys
from pathlib import Path

FORBIDDEN = ("torch", "onnx", "transformers", "diffusers", "coremltools", "safetensors", "amused_edge.export")

REFUSE = f"""
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == f or name.startswith(f + ".") for f in {FORBIDDEN!r}):
            raise ImportError("refused: " + name)
        return None

sys.meta_path.insert(0, Refuse())
"""

GENERATE = """
from amused_edge.runtime import AmusedPipeline, GenerationOptions, TextToImage, golden_check
with AmusedPipeline.from_bundle(sys.argv[1]) as pipeline:
    task = TextToImage("a red fox", "a green leaf", pictures_per_prompt=2)
    result = pipeline.generate(task, GenerationOptions(seed=1, steps=2))
    pipeline.encode(result.images)
print(result.images.shape[0])
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_refusal_works() -> None:
    """Otherwise the tests below would prove nothing."""
    for name in FORBIDDEN:
        refused = run(f"{REFUSE}\nimport {name}")
        assert refused.returncode == 1
        assert f"refused: {name}" in refused.stderr


def test_importing_the_runtime_needs_none_of_them() -> None:
    imported = run(
        REFUSE + "import amused_edge.runtime\nimport amused_edge.runtime.golden_check, amused_edge.runtime.pictures"
    )
    assert imported.returncode == 0, imported.stderr


def test_importing_the_runtime_loads_no_engine() -> None:
    """Opening a bundle to inspect it must not wait for an engine."""
    code = "import sys, amused_edge.runtime\nprint(sorted({'onnxruntime', 'torch', 'onnx'} & set(sys.modules)))"
    assert run(code).stdout.strip() == "[]"


def test_a_whole_generation_needs_none_of_them(demo_bundle: Path) -> None:
    generated = run(REFUSE + GENERATE, str(demo_bundle))
    assert generated.returncode == 0, generated.stderr
    assert generated.stdout.strip() == "2"


def test_the_scales_need_numpy_alone() -> None:
    """So that every room can weigh on the same scales."""
    code = "import sys, amused_edge.benchmarks.metrics.logits, amused_edge.benchmarks.metrics.pictures\n"
    code += "print(sorted({'onnxruntime', 'tokenizers', 'PIL', 'torch', 'scipy'} & set(sys.modules)))"
    assert run(code).stdout.strip() == "[]"
