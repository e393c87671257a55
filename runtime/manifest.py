"""`manifest.json`: what a bundle is, what its graphs take and give, and what was measured when it was made.

Reading is strict: a manifest that does not say all of this, or names a file outside its folder, is refused.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeVar

from amused_edge.runtime.errors import BundleError, OptionsError
from amused_edge.runtime.json_fields import Fields
from amused_edge.runtime.measurements import (
    Fidelity,
    Parity,
    Quantization,
    Simulated,
    read_parity,
    read_quantization,
    read_simulated,
)
from amused_edge.runtime.options import SamplerSettings

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
GOLDEN_NAME = "golden.json"

_LIMIT = 2**20
"""Above any size that a geometry can have."""

T = TypeVar("T")

ROLES = ("text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder")


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
                f"the manifest names {self.path!r}, which may lie outside the bundle; do not use this bundle"
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
        tensor, taken at run time ("dynamic uint8") or at calibration ("static uint8"); "dynamic int8" with a scale per
        row and block.
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


@dataclass(frozen=True)
class ModelInfo:
    """Where the weights come from."""

    name: str
    source: str
    license: str


@dataclass(frozen=True)
class Geometry:
    """Sizes that belong together: pixels, tokens and codes.

    Attributes
    ----------
    image_height, image_width
        Pixels.
    grid_height, grid_width
        Tokens.
    codebook_size
        Codes a token can have; logits have this many columns.
    mask_token_id
        The id of a masked token, outside the codebook.
    text_length
        Ids per prompt.
    """

    image_height: int
    image_width: int
    grid_height: int
    grid_width: int
    codebook_size: int
    mask_token_id: int
    text_length: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < _LIMIT:
                raise BundleError(f"the geometry's {name} is {value}; it must be between 1 and {_LIMIT - 1}")
        if self.mask_token_id < self.codebook_size:
            raise BundleError(f"mask_token_id {self.mask_token_id} is one of the {self.codebook_size} codes")


@dataclass(frozen=True)
class MicroConditioning:
    """Defaults of the five micro-conditions that are not the picture's size: crop offset in pixels, aesthetic score."""

    crop_top: float = 0.0
    crop_left: float = 0.0
    aesthetic_score: float = 6.0


@dataclass(frozen=True)
class EngineInfo:
    """The engine that runs the graphs.

    Attributes
    ----------
    version
        The one that parity was checked with; of Core ML, the oldest system that opens the graphs.
    oldest_tried
        The oldest version that ran such graphs; "none" where none was to be had.
    """

    name: str
    version: str
    oldest_tried: str


@dataclass(frozen=True)
class Manifest:
    """The whole contract; see the attributes' types.

    Attributes
    ----------
    target
        "onnx" or "coreml".
    sampler
        Default settings of the loop.
    files
        Files that belong to no graph, by name (`tokenizer.json`, `golden.json`).
    graphs
        By role.
    tools
        Versions of the packages that made the bundle.
    parity
        Of a bundle made by export and run by its engine: measured against the checkpoint. None of a quantized one.
    quantization
        Of a quantized bundle: how it was made and what it cost. None of an exported one.
    simulated
        In place of what could not be measured, because the engine does not run on the machine that made the bundle.
    """

    target: str
    model: ModelInfo
    geometry: Geometry
    sampler: SamplerSettings
    micro_conditioning: MicroConditioning
    engine: EngineInfo
    files: dict[str, FileEntry]
    graphs: dict[str, GraphEntry]
    tools: dict[str, str]
    parity: Parity | None = None
    quantization: Quantization | None = None
    simulated: Simulated | None = None

    def all_files(self) -> list[FileEntry]:
        """Return every file of the bundle but the manifest itself."""
        return [*self.files.values(), *(f for g in self.graphs.values() for f in g.files)]

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest itself."""
        return sum(file.bytes for file in self.all_files())

    @property
    def fidelity(self) -> Fidelity:
        """What was measured, or else simulated, when the bundle was made.

        Raises
        ------
        BundleError
            Nothing was.
        """
        for found in (self.parity, self.quantization, self.simulated):
            if found is not None and found.logits is not None and found.pictures is not None:
                return Fidelity(found.logits, found.pictures)
        raise BundleError(f"{MANIFEST_NAME} says nothing of the bundle's fidelity; make the bundle again")

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        content = {"schema_version": SCHEMA_VERSION, "format": "amused-edge bundle", **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "Manifest":
        """Parse and check the text of `manifest.json`.

        Raises
        ------
        BundleError
            It is no manifest, of a newer schema, incomplete, or names a file outside the bundle.
        """
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{MANIFEST_NAME} is not JSON ({error}); make the bundle again") from error
        fields = Fields(content, MANIFEST_NAME)
        version = fields.get("schema_version", int)
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"the bundle has schema version {version}, this amused-edge reads up to {SCHEMA_VERSION}; "
                "upgrade amused-edge"
            )
        return _manifest(fields)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _manifest(fields: Fields) -> Manifest:
    return Manifest(
        target=fields.get("target", str),
        model=_plain(ModelInfo, fields.child("model"), str),
        geometry=_plain(Geometry, fields.child("geometry"), int),
        sampler=_sampler(fields.child("sampler")),
        micro_conditioning=_plain(MicroConditioning, fields.child("micro_conditioning"), float),
        engine=_plain(EngineInfo, fields.child("engine"), str),
        files=fields.table("files", _file),
        graphs=fields.table("graphs", _graph),
        tools=fields.get("tools", dict),
        parity=_optional(fields, "parity", read_parity),
        quantization=_optional(fields, "quantization", read_quantization),
        simulated=_optional(fields, "simulated", read_simulated) if "simulated" in fields else None,
    )


def _optional(fields: Fields, name: str, read: Callable[[Fields], T]) -> T | None:
    return None if fields.raw(name) is None else read(fields.child(name))


def _plain(build: Any, fields: Fields, kind: type) -> Any:
    """Build a dataclass whose attributes are all of one type."""
    return build(**{name: fields.get(name, kind) for name in build.__dataclass_fields__})


def _file(fields: Fields) -> FileEntry:
    return FileEntry(fields.get("path", str), fields.get("bytes", int), fields.get("sha256", str))


def _tensor(fields: Fields) -> TensorSpec:
    shape = fields.get("shape", list)
    if not all(type(side) in (int, str) for side in shape):
        raise BundleError(f"{MANIFEST_NAME}: shape {shape!r} is not a list of numbers and names")
    layout = fields.get("layout", str) if "layout" in fields else "array"
    return TensorSpec(fields.get("name", str), fields.get("dtype", str), tuple(shape), layout)


def _graph(fields: Fields) -> GraphEntry:
    files = fields.items("files", _file)
    if not files:
        raise BundleError(f"{MANIFEST_NAME}: a graph has no files; the bundle is damaged, make it again")
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
        fields.get("codes", str) if "codes" in fields else "scaled",
    )


def _sampler(fields: Fields) -> SamplerSettings:
    try:
        return SamplerSettings(**{name: fields.raw(name) for name in SamplerSettings.__dataclass_fields__})
    except OptionsError as error:
        raise BundleError(f"{MANIFEST_NAME}: sampler: {error}") from error
