"""amused-edge: aMUSEd masked image models converted to ONNX and Core ML, quantized, and run in NumPy.

Names are imported when first used, so `import amused_edge` costs nothing.
"""

from importlib import import_module
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amused_edge.runtime import (
        AmusedEdgeError,
        AmusedPipeline,
        Cancellation,
        Clip,
        ClipState,
        EngineOptions,
        Frame,
        GenerationOptions,
        GenerationResult,
        Inpainting,
        PictureState,
        PromptEmbeddings,
        PromptWeights,
        Step,
        TextToImage,
        Variation,
        outpainting,
    )

__all__ = [
    "AmusedEdgeError",
    "AmusedPipeline",
    "Cancellation",
    "Clip",
    "ClipState",
    "EngineOptions",
    "Frame",
    "GenerationOptions",
    "GenerationResult",
    "Inpainting",
    "PictureState",
    "PromptEmbeddings",
    "PromptWeights",
    "Step",
    "TextToImage",
    "Variation",
    "outpainting",
]

# Libraries that report home unless told not to, as soon as they are loaded; every import of a room passes here first,
# and child processes inherit it. Who set a variable before has decided otherwise.
for _variable, _off in (
    ("ORT_DISABLE_TELEMETRY", "1"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
):
    environ.setdefault(_variable, _off)

# In a source checkout the rooms stand beside the hall, so Python started in its root finds them too.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("amused_edge.runtime"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
