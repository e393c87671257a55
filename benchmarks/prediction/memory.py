"""Peak memory of drawing, in bytes, of bundles that ONNX Runtime runs on a CPU.

A process without graphs, the weights as the engine holds them, and what calls take beside. The factors were fitted to
what was measured at full size (`known.py`), whose figures they give back within what `errors` says. apps/web has
factors of its own: onnxruntime-web lies in WebAssembly's memory, and lays weights out otherwise.
"""

from dataclasses import dataclass

from amused_edge.benchmarks.prediction.shape import Kind, Shape

BASE = 95e6
"""Python, NumPy and the engine's library."""

HELD: dict[Kind, float] = {"float32": 1.0, "half": 2.15, "codes": 1.0, "int8": 1.0, "blockwise": 1.26}
"""Bytes in memory per byte of the files: halves are widened, blocks are packed beside what is mapped."""

KEPT_CALLS = 7.0
"""Of all graphs that stay in memory, per byte of conditioning and logits: tensors of the calls, in arenas that are not
given back.
"""

ONE_CALL = 3.5
"""Of the denoiser alone, without an arena."""

KEPT_PIXEL: dict[bool, float] = {True: 4000.0, False: 6900.0}
"""Of the decoder in an arena, per pixel, in bundles made for CPUs: with 8-bit activations, and without."""

KEPT_PIXEL_PORTABLE = 10700.0
"""In portable bundles, whose group norms are not cut in slices."""

ONE_PIXEL, ONE_PIXEL_PORTABLE = 1700.0, 9700.0
"""The same without an arena."""

DRAWING = ("text_encoder", "conditioner", "denoiser", "image_decoder")
"""Roles that text to image needs; a picture to start from needs `image_encoder` too, which takes less than the
decoder.
"""


@dataclass(frozen=True)
class RoleMemory:
    """What one graph takes, in bytes: its files, its weights in memory, and a call's tensors without an arena."""

    files: int
    held: float
    call: float


def by_role(shape: Shape) -> dict[str, RoleMemory]:
    """Return what each graph that draws takes by itself."""
    calls = {
        "denoiser": ONE_CALL * _exchanged(shape),
        "conditioner": float(shape.branches * shape.conditioning),
        "image_decoder": shape.pixels * (ONE_PIXEL if shape.optimize == "cpu" else ONE_PIXEL_PORTABLE),
    }
    return {
        role: RoleMemory(shape.files[role], shape.files[role] * HELD[shape.kinds[role]], calls.get(role, 0.0))
        for role in DRAWING
        if role in shape.files
    }


def kept(shape: Shape) -> float:
    """Return the peak with all graphs in memory, as a pipeline is by default."""
    of_cpu = KEPT_PIXEL[shape.kinds["image_decoder"] == "int8"]
    pixel = of_cpu if shape.optimize == "cpu" else KEPT_PIXEL_PORTABLE
    held = sum(role.held for role in by_role(shape).values())
    return BASE + held + KEPT_CALLS * _exchanged(shape) + pixel * shape.pixels


def low(shape: Shape) -> float:
    """Return the peak with one graph at a time and no arena: `EngineOptions.low_memory()`."""
    return BASE + max(role.held + role.call for role in by_role(shape).values())


def row_cache(shape: Shape) -> float:
    """Return what a picture takes besides that is drawn with a row cache: what a call is given, and what it leaves."""
    return 2.0 * shape.branches * shape.kept_rows


def _exchanged(shape: Shape) -> int:
    """Return the bytes that a call of the denoiser takes and gives, of all its rows."""
    return shape.branches * (shape.conditioning + shape.logits)
