"""`manifest.json`: what a bundle is, what its graphs take and give, and what was measured when it was made.

Reading is strict: a manifest that does not say all of this, or names a file outside its folder, is refused.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, Literal, TypeVar, get_args

from amused_edge.runtime.bundle.fine_tuning import FineTuning, read_fine_tuning
from amused_edge.runtime.bundle.graph_entry import FileEntry, GraphEntry, read_file, read_graph
from amused_edge.runtime.bundle.json_fields import DAMAGED, Fields
from amused_edge.runtime.bundle.measurements import (
    Fidelity,
    Parity,
    Quantization,
    Simulated,
    read_parity,
    read_quantization,
    read_simulated,
)
from amused_edge.runtime.errors import BundleError, OptionsError, quoted
from amused_edge.runtime.sampling.options import LATER_OPTIONS, SamplerSettings

SCHEMA_VERSION = 2
"""Of bundles whose denoiser keeps rows, so that a runtime that cannot run it refuses them; all others have 1."""
MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
GOLDEN_NAME = "golden.json"
SAMPLER_NAME = "sampler.onnx"

TARGETS = {"onnx": "ONNX", "coreml": "Core ML", "coreai": "Core AI"}
"""What bundles are made for, by the name in the manifest -> as it is written."""

_LIMIT = 2**20
"""Above any size that a geometry can have."""

_MICRO_LIMIT = 1e9
"""Far above any pixel or score, far below what float32 would turn into infinity."""

Optimization = Literal["portable", "cpu"]
OPTIMIZATIONS: tuple[Optimization, ...] = get_args(Optimization)

T = TypeVar("T")

ROLES = ("text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder")
DRAWING_ROLES = ROLES[:4]
"""What text to image needs; the last three where prompt embeddings are given."""


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
                raise BundleError(f"the geometry's {name} is {quoted(value)}; it must be between 1 and {_LIMIT - 1}")
        if self.mask_token_id < self.codebook_size:
            raise BundleError(f"mask_token_id {self.mask_token_id} is one of the {self.codebook_size} codes")


@dataclass(frozen=True)
class MicroConditioning:
    """The micro-conditions beside the picture's size: crop offset in pixels, aesthetic score; each a finite number."""

    crop_top: float = 0.0
    crop_left: float = 0.0
    aesthetic_score: float = 6.0

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            number: Any = value
            if isinstance(value, bool) or not isinstance(value, Real) or not abs(number) <= _MICRO_LIMIT:
                raise OptionsError(f"{name} is {quoted(value)}; it must be a number from -1e9 to 1e9")
            object.__setattr__(self, name, float(number))


@dataclass(frozen=True)
class EngineInfo:
    """The engine that runs the graphs.

    Attributes
    ----------
    version
        The one that parity was checked with; of Core ML, the oldest system that opens the graphs.
    oldest_tried
        The oldest version that ran such graphs; "none" where none was to be had.
    optimize
        "portable": operators of the ONNX standard, and numbers that are the same on every CPU; "cpu": operators and
        codes that this engine computes fastest on CPUs.
    """

    name: str
    version: str
    oldest_tried: str
    optimize: Optimization = "portable"


@dataclass(frozen=True)
class Manifest:
    """The whole contract; see the attributes' types.

    Attributes
    ----------
    target
        One of `TARGETS`.
    sampler
        Default settings of the loop.
    files
        Files that belong to no role, by name (`tokenizer.json`, `golden.json`; of some, `sampler.onnx`).
    graphs
        By role.
    tools
        Versions of the packages that made the bundle.
    parity
        Of a bundle made by export and run by its engine: measured against the checkpoint. None of a quantized one, and
        of one to which LoRAs were added later.
    quantization
        Of a quantized bundle: how it was made and what it cost. None of an exported one.
    simulated
        In place of what could not be measured, because the engine does not run on the machine that made the bundle.
    fine_tuning
        What was put over the checkpoint's weights; None of most.
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
    fine_tuning: FineTuning | None = None

    def all_files(self) -> list[FileEntry]:
        """Return every file of the bundle but the manifest itself."""
        return [*self.files.values(), *(f for g in self.graphs.values() for f in g.files)]

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest itself."""
        return sum(file.bytes for file in self.all_files())

    @property
    def keeps_rows(self) -> bool:
        """Whether the denoiser has a row cache."""
        return "denoiser" in self.graphs and self.graphs["denoiser"].keeps_rows

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
        content = {
            "schema_version": SCHEMA_VERSION if self.keeps_rows else 1,
            "format": "amused-edge bundle",
            **asdict(self),
        }
        content["sampler"] = self.sampler.to_dict()
        if self.fine_tuning is None:
            del content["fine_tuning"]  # as manifests were before there was any
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
        if version < 1:
            raise BundleError(f"{MANIFEST_NAME}: there is no schema version {version}; {DAMAGED}")
        return _manifest(fields)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _manifest(fields: Fields) -> Manifest:
    return Manifest(
        target=fields.get("target", str),
        model=_plain(ModelInfo, fields.child("model"), str),
        geometry=_plain(Geometry, fields.child("geometry"), int),
        sampler=_sampler(fields.child("sampler")),
        micro_conditioning=_micro(fields.child("micro_conditioning")),
        engine=_engine(fields.child("engine")),
        files=fields.table("files", read_file),
        graphs=fields.table("graphs", read_graph),
        tools=fields.mapping("tools", str),
        parity=_optional(fields, "parity", read_parity),
        quantization=_optional(fields, "quantization", read_quantization),
        simulated=_optional(fields, "simulated", read_simulated),
        fine_tuning=_optional(fields, "fine_tuning", read_fine_tuning) if "fine_tuning" in fields else None,
    )


def _optional(fields: Fields, name: str, read: Callable[[Fields], T]) -> T | None:
    return None if fields.raw(name) is None else read(fields.child(name))


def _plain(build: Any, fields: Fields, kind: type) -> Any:
    """Build a dataclass whose attributes are all of one type."""
    return build(**{name: fields.get(name, kind) for name in build.__dataclass_fields__})


def _engine(fields: Fields) -> EngineInfo:
    optimize: Any = fields.get("optimize", str)
    if optimize not in OPTIMIZATIONS:
        raise BundleError(
            f"{MANIFEST_NAME}: optimize is {quoted(optimize)}; this amused-edge knows {', '.join(OPTIMIZATIONS)}; "
            "upgrade it"
        )
    return EngineInfo(fields.get("name", str), fields.get("version", str), fields.get("oldest_tried", str), optimize)


def _micro(fields: Fields) -> MicroConditioning:
    try:
        return _plain(MicroConditioning, fields, float)  # type: ignore[no-any-return]
    except OptionsError as error:
        raise BundleError(f"{MANIFEST_NAME}: micro_conditioning: {error}") from error


def _sampler(fields: Fields) -> SamplerSettings:
    try:
        names = [name for name in SamplerSettings.__dataclass_fields__ if name not in LATER_OPTIONS]
        return SamplerSettings(**{name: fields.raw(name) for name in names})
    except OptionsError as error:
        raise BundleError(f"{MANIFEST_NAME}: sampler: {error}") from error
