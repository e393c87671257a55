"""`manifest.json`: what a bundle is, what its graphs take and give, and what was measured when it was made.

Reading is strict: a manifest that does not say all of this, or names a file outside its folder, is refused.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from amused_edge.runtime.errors import BundleError, OptionsError
from amused_edge.runtime.json_fields import Fields
from amused_edge.runtime.options import SamplerSettings

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
GOLDEN_NAME = "golden.json"

_LIMIT = 2**20
"""Above any size that a geometry can have."""

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
    """A named input or output; a dimension is a number, or a name where it is dynamic. Layout is the order of the
    axes.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphEntry:
    """One graph.

    Attributes
    ----------
    files
        The model file first, then its weights.
    stored_precision, executed_precision
        What the weights are stored in, and what the engine computes in.
    derived_tensors
        Initializers that do not stand in the checkpoint as they are -> the checkpoint tensors they were folded from.
    """

    files: tuple[FileEntry, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    stored_precision: str
    executed_precision: str
    derived_tensors: dict[str, tuple[str, ...]] = field(default_factory=dict)


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
    """The engine that runs the graphs: name, version used to check parity, the oldest version tried."""

    name: str
    version: str
    oldest_tried: str


@dataclass(frozen=True)
class GenerationParity:
    """A whole generation of a bundle beside the torch modules.

    Attributes
    ----------
    steps
        How many states were compared.
    mean_kl, max_kl
        KL(torch || bundle) of guided logits on masked rows, in nats.
    max_logit_error
        Largest |difference| of guided logits, relative to the largest |logit|.
    equal_draws
        Share of tokens that both would draw with the same noise.
    picture_psnr
        Of the finished picture, in dB; None where it is equal to the last bit.
    """

    steps: int
    mean_kl: float
    max_kl: float
    max_logit_error: float
    equal_draws: float
    picture_psnr: float | None


@dataclass(frozen=True)
class Parity:
    """What was measured against the source model at export; `docs/bundle.md` has the measures and what is allowed.

    Attributes
    ----------
    roles
        Role -> output -> error.
    """

    roles: dict[str, dict[str, float]]
    generation: GenerationParity


@dataclass(frozen=True)
class Manifest:
    """The whole contract; see the attributes' types.

    Attributes
    ----------
    target
        "onnx".
    sampler
        Default settings of the loop.
    files
        Files that belong to no graph, by name (`tokenizer.json`, `golden.json`).
    graphs
        By role.
    tools
        Versions of the packages that made the bundle.
    parity
        None only while the bundle is being made.
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
    parity: Parity | None

    def all_files(self) -> list[FileEntry]:
        """Return every file of the bundle but the manifest itself."""
        return [*self.files.values(), *(f for g in self.graphs.values() for f in g.files)]

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
            content = json.loads(text)
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
        parity=_parity(fields.child("parity")),
    )


def _plain(build: Any, fields: Fields, kind: type) -> Any:
    """Build a dataclass whose attributes are all of one type."""
    return build(**{name: fields.get(name, kind) for name in build.__dataclass_fields__})


def _parity(fields: Fields) -> Parity:
    generation = fields.child("generation")
    roles = fields.table("roles", lambda role: {name: role.get(name, float) for name in role})
    measured = GenerationParity(
        steps=generation.get("steps", int),
        mean_kl=generation.get("mean_kl", float),
        max_kl=generation.get("max_kl", float),
        max_logit_error=generation.get("max_logit_error", float),
        equal_draws=generation.get("equal_draws", float),
        picture_psnr=None if generation.raw("picture_psnr") is None else generation.get("picture_psnr", float),
    )
    return Parity(roles, measured)


def _file(fields: Fields) -> FileEntry:
    return FileEntry(fields.get("path", str), fields.get("bytes", int), fields.get("sha256", str))


def _tensor(fields: Fields) -> TensorSpec:
    shape = fields.get("shape", list)
    if not all(type(side) in (int, str) for side in shape):
        raise BundleError(f"{MANIFEST_NAME}: shape {shape!r} is not a list of numbers and names")
    return TensorSpec(fields.get("name", str), fields.get("dtype", str), tuple(shape))


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
    )


def _sampler(fields: Fields) -> SamplerSettings:
    try:
        return SamplerSettings(**{name: fields.raw(name) for name in SamplerSettings.__dataclass_fields__})
    except OptionsError as error:
        raise BundleError(f"{MANIFEST_NAME}: sampler: {error}") from error
