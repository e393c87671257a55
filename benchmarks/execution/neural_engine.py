"""Looks through a Core ML program, on any system, for what may keep it off Apple's Neural Engine or slow it down there.

Core ML decides at load, and Apple publishes no complete rules: these are the known ones, each with its source. Xcode's
performance report of the compiled model has the last word.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from amused_edge.benchmarks.report.markdown import table_lines
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.coreml.package import package
from amused_edge.runtime.engines.coreml.program import FLOATS, Name, Program, Value, read_program

MAX_RANK = 5
MAX_BYTES = 1_000_000_000
_LOOKUPS = ("gather", "gather_nd", "gather_along_axis")
_TRANSFORMERS = "machinelearning.apple.com/research/neural-engine-transformers"
_EXAMPLES = 3


@dataclass(frozen=True)
class Limit:
    """A known limit.

    Attributes
    ----------
    name
        What is looked for.
    effect
        What it costs.
    source
        Who says so.
    find
        (program, bytes of the package) -> the operations, or values, that go against it.
    """

    name: str
    effect: str
    source: str
    find: Callable[[Program, int], Iterator[str]]


@dataclass(frozen=True)
class Finding:
    """What goes against a limit in a program: `found` are names of operations or values, none where it is kept."""

    limit: Limit
    found: tuple[str, ...]


def _ranks(program: Program, size: int) -> Iterator[str]:
    for value in _values(program):
        if len(value.shape) > MAX_RANK:
            yield value.name


def _float32(program: Program, size: int) -> Iterator[str]:
    for op in program.operations:
        if op.operator != "cast" and any(value.dtype == "fp32" for value in op.outputs):
            yield op.name


def _crossings(program: Program, size: int) -> Iterator[str]:
    for op in program.operations:
        if op.operator == "cast" and op.outputs[0].dtype in FLOATS:
            yield op.name


def _whole_numbers(program: Program, size: int) -> Iterator[str]:
    for op in program.operations:
        if op.operator not in _LOOKUPS and all(value.dtype not in FLOATS for value in op.outputs):
            yield op.name


def _lookups(program: Program, size: int) -> Iterator[str]:
    for op in program.operations:
        if op.operator in _LOOKUPS:
            yield op.name


def _last_axis(program: Program, size: int) -> Iterator[str]:
    for value in _values(program):
        if value.dtype == "fp16" and len(value.shape) > 1 and value.shape[-1] == 1:
            yield value.name


def _sequences(program: Program, size: int) -> Iterator[str]:
    for op in program.operations:
        if op.operator == "linear":
            yield op.name


def _dynamic(program: Program, size: int) -> Iterator[str]:
    computed = {value.name for op in program.operations for value in op.outputs}
    for op in program.operations:
        shape = op.arguments.get("shape")
        if any(0 in value.shape for value in op.outputs) or (isinstance(shape, Name) and shape.name in computed):
            yield op.name


def _large(program: Program, size: int) -> Iterator[str]:
    if size > MAX_BYTES:
        yield f"{size / 1e6:.0f} MB"


LIMITS = (
    Limit("rank above 5", "does not compile", "Core ML takes at most five axes (onnxruntime#28278)", _ranks),
    Limit("float32", "runs on CPU or GPU", "the Neural Engine computes in float16 (coremltools#1761)", _float32),
    Limit("float32 islands", "data changes processor", "each cast of floats is an edge of an island", _crossings),
    Limit("whole numbers", "runs on CPU", "the Neural Engine computes in float16 (coremltools#1761)", _whole_numbers),
    Limit("gather", "runs on CPU", "coremltools#1103", _lookups),
    Limit("last axis of length 1", "padded to 64 bytes: 32 x the memory", _TRANSFORMERS, _last_axis),
    Limit("linear instead of 1x1 convolution", "slower than (B, C, 1, N) layout", _TRANSFORMERS, _sequences),
    Limit("dynamic shapes", "runs on CPU or GPU", "coremltools guide, Flexible Input Shapes", _dynamic),
    Limit("above 1 GB", "not loaded on iPhone", "apple/ml-stable-diffusion, README, --chunk-unet", _large),
)


def lint(program: Program, size: int) -> list[Finding]:
    """Hold a program against all limits.

    Parameters
    ----------
    size
        Of the package, in bytes.
    """
    return [Finding(limit, tuple(limit.find(program, size))) for limit in LIMITS]


def lint_bundle(bundle: Bundle) -> dict[str, list[Finding]]:
    """Hold every graph of a Core ML bundle against all limits; raises `BundleError` if a package is damaged."""
    return {
        role: lint(read_program(package(bundle, role)), entry.bytes) for role, entry in bundle.manifest.graphs.items()
    }


def table(findings: list[Finding]) -> list[str]:
    """Return the lines of a Markdown table, one row per limit."""
    rows = []
    for finding in findings:
        limit, count = finding.limit, len(finding.found)
        examples = ", ".join(finding.found[:_EXAMPLES]) + (", ..." if count > _EXAMPLES else "")
        effect = limit.effect if count else ""
        rows.append((limit.name, count or "none", effect, examples, limit.source))
    return table_lines(("what", "found", "effect", "for example", "source"), rows)


def _values(program: Program) -> Iterator[Value]:
    yield from program.inputs
    for op in program.operations:
        yield from op.outputs
