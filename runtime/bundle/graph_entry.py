"""What `manifest.json` says of a graph: its files, what it takes and gives, and what its weights became."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from amused_edge.runtime.bundle.json_fields import DAMAGED, Fields
from amused_edge.runtime.errors import BundleError, quoted

ROWS, PLACES, KEPT = "rows", "places", "kept_"
"""Inputs of a graph that keeps rows: those to compute, where each then stands, and how the names begin of what is kept;
the rest of such a name is that of the output that the next call takes there.
"""


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle: path inside the folder ('/' between parts), size in bytes, SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if (
            not parts
            or self.path.startswith("/")
            or any(mark in self.path for mark in "\\:\0")
            or any(part in ("..", ".") for part in self.path.split("/"))
        ):
            raise BundleError(
                f"the manifest names {quoted(self.path)}, which may lie outside the bundle; do not use this bundle"
            )


@dataclass(frozen=True)
class TensorSpec:
    """A named input or output of a graph, as `Graph` takes or gives it.

    Attributes
    ----------
    shape
        A dimension is a number, or a name where it is dynamic.
    layout
        "array"; or "picture" (batch, height, width, 3), which an app hands to Core ML as an image.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    layout: str = "array"


@dataclass(frozen=True)
class TensorFormat:
    """What a weight became in a quantized bundle.

    Attributes
    ----------
    bits
        Per stored value: 4, 6, 8, 16 or 32.
    block
        How many values along the inputs share a scale; None: all of an output channel (of a row, in a table). Of a
        palette: how many output channels share it; None: all.
    activations
        What the other factor of the product is computed in: "float32", "float16"; "uint8" with one scale for the whole
        tensor, taken at run time ("dynamic uint8") or at calibration ("static uint8", "static int8"), or one per row
        ("dynamic uint8 by row"); "dynamic int8" with a scale per row and block.
    operator
        What computes with it.
    error
        Root mean square of what rounding changed, relative to that of the weight's values.
    codes
        "scaled": multiples of a scale; "palette": places in a list of values.
    """

    bits: int
    block: int | None
    activations: str
    operator: str
    error: float
    codes: str = "scaled"


@dataclass(frozen=True)
class GraphEntry:
    """One graph.

    Attributes
    ----------
    files
        The model file first, then its weights.
    stored_precision, executed_precision
        What most weights are stored in, and what the engine was seen to compute in.
    derived_tensors
        Initializers that do not stand in the checkpoint as they are -> the checkpoint tensors they were folded from.
    tensors
        What each weight became, by its name in the parent bundle; empty in an exported bundle.
    """

    files: tuple[FileEntry, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    stored_precision: str
    executed_precision: str
    derived_tensors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tensors: dict[str, TensorFormat] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.bytes for file in self.files)

    @property
    def keeps_rows(self) -> bool:
        """Whether it may compute some rows of its layers and take the others from the call before."""
        return any(spec.name == ROWS for spec in self.inputs)


def read_file(fields: Fields) -> FileEntry:
    """Parse one of the manifest's files."""
    return FileEntry(fields.get("path", str), fields.get("bytes", int), fields.get("sha256", str))


def _tensor(fields: Fields) -> TensorSpec:
    shape = fields.get("shape", list)
    if not all(type(side) in (int, str) for side in shape):
        raise BundleError(f"manifest.json: shape {quoted(shape)} is not a list of numbers and names")
    return TensorSpec(fields.get("name", str), fields.get("dtype", str), tuple(shape), fields.get("layout", str))


def read_graph(fields: Fields) -> GraphEntry:
    """Parse one of the manifest's graphs."""
    files = fields.items("files", read_file)
    if not files:
        raise BundleError(f"manifest.json: a graph has no files; {DAMAGED}")
    derived = fields.child("derived_tensors")
    return GraphEntry(
        files=files,
        inputs=fields.items("inputs", _tensor),
        outputs=fields.items("outputs", _tensor),
        stored_precision=fields.get("stored_precision", str),
        executed_precision=fields.get("executed_precision", str),
        derived_tensors={name: tuple(derived.values(name, str)) for name in fields.get("derived_tensors", dict)},
        tensors=fields.table("tensors", _tensor_format),
    )


def _tensor_format(fields: Fields) -> TensorFormat:
    block = None if fields.raw("block") is None else fields.get("block", int)
    return TensorFormat(
        fields.get("bits", int),
        block,
        fields.get("activations", str),
        fields.get("operator", str),
        fields.get("error", float),
        fields.get("codes", str),
    )
