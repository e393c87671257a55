"""What of a bundle its memory and time depend on, read from the manifest."""

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from amused_edge.runtime.bundle.graph_entry import KEPT, PLACES, GraphEntry, TensorSpec
from amused_edge.runtime.bundle.manifest import ROLES, Manifest, Optimization
from amused_edge.runtime.errors import OptionsError, quoted

Kind = Literal["float32", "half", "codes", "int8", "blockwise"]
"""How the engine holds and multiplies most weights of a graph: 8 or 4 bits in float32 ("codes"), 8 x 8 bits with a
scale per tensor or row ("int8"), or per block ("blockwise").
"""

FLOAT_BYTES = 4

SHARES: dict[str, tuple[float, ...]] = {
    "fp16": (0.500, 0.500, 0.500, 0.500, 0.505),
    "w8": (0.258, 0.260, 0.266, 0.252, 0.258),
    "w8a8": (0.252, 0.252, 0.251, 0.253, 0.258),
    "w8a8-blocks": (0.273, 0.282, 0.281, 0.253, 0.258),
    "w4": (0.258, 0.143, 0.160, 0.252, 0.258),
}
"""Recipe -> share of the float32 files that those of each of `ROLES` have, at the size of amused-256
(docs/quantization.md).
"""

_KINDS: dict[str, Kind] = {"fp16": "half", "w8": "codes", "w8a8": "int8", "w8a8-blocks": "blockwise", "w4": "codes"}

_SCALES: dict[Kind, float] = {"float32": 0.0, "half": 0.0, "codes": 0.5, "int8": 0.05, "blockwise": 1.0}
"""Bits per weight that scales and zero points take."""


@dataclass(frozen=True)
class Shape:
    """What a prediction needs of a bundle.

    Attributes
    ----------
    files
        Bytes of each role's files.
    kinds, bits
        How each role's weights are held, and the mean number of bits of one.
    optimize
        As in the manifest.
    conditioning, logits
        Bytes of one prompt's conditioning, and of one branch's logits.
    pixels
        Of a picture.
    tokens
        That the layers see; grids larger than 16 x 16 are halved before them, as in amused-512.
    layers, width
        Of the denoiser's transformer, from the conditioning's keys; 0 where it has none.
    steps, branches
        Calls of the denoiser, and rows of each: 2 with guidance.
    kept_rows
        Bytes of what a row cache keeps of one branch, of all rows of its layers; 0 of bundles without one.
    """

    files: dict[str, int]
    kinds: dict[str, Kind]
    bits: dict[str, float]
    optimize: Optimization
    conditioning: int
    logits: int
    pixels: int
    tokens: int
    layers: int
    width: int
    steps: int
    branches: int
    kept_rows: int = 0

    @staticmethod
    def of(manifest: Manifest) -> "Shape":
        """Read a manifest.

        Raises
        ------
        OptionsError
            The bundle is for another engine than ONNX Runtime, of whose memory nothing was measured.
        """
        if manifest.target != "onnx":
            raise OptionsError(
                f"predictions are for ONNX bundles; this one is for {quoted(manifest.target)}, whose engine's memory "
                "nobody measured here"
            )
        g, s = manifest.geometry, manifest.sampler
        outputs = manifest.graphs["conditioner"].outputs
        keys = next((spec for spec in outputs if spec.name == "layer_keys"), None)
        return Shape(
            files={role: graph.bytes for role, graph in manifest.graphs.items()},
            kinds={role: _kind(graph) for role, graph in manifest.graphs.items()},
            bits={role: _bits(graph) for role, graph in manifest.graphs.items()},
            optimize=manifest.engine.optimize,
            conditioning=sum(_bytes(spec) for spec in outputs),
            logits=FLOAT_BYTES * g.grid_height * g.grid_width * g.codebook_size,
            pixels=g.image_height * g.image_width,
            tokens=min(g.grid_height, 16) * min(g.grid_width, 16),
            layers=0 if keys is None else _number(keys.shape[1]),
            width=0 if keys is None else _number(keys.shape[2]) * _number(keys.shape[4]),
            steps=s.steps,
            branches=2 if s.guidance_scale > 1 else 1,
            kept_rows=_kept_rows(manifest.graphs["denoiser"]) if manifest.keeps_rows else 0,
        )

    @property
    def quantized(self) -> bool:
        """Whether any role is not in float32."""
        return set(self.kinds.values()) != {"float32"}

    def by_recipe(self, recipe: str) -> "Shape":
        """Return what a named recipe, one of `SHARES`, will make of a float32 bundle."""
        shares = dict(zip(ROLES, SHARES[recipe], strict=True))
        kinds: dict[str, Kind] = dict.fromkeys(self.files, _KINDS[recipe])
        if recipe == "w8a8-blocks":  # its convolutions are those of w8a8
            kinds |= {"image_decoder": "int8", "image_encoder": "int8"}
        files = {role: round(size * shares[role]) for role, size in self.files.items()}
        bits = {role: 8 * FLOAT_BYTES * shares[role] - _SCALES[kinds[role]] for role in files}
        return replace(self, files=files, kinds=kinds, bits=bits)

    def weights(self, role: str) -> float:
        """Return how many weights a role has, within some percent: the files hold names too."""
        return 8 * self.files[role] / (self.bits[role] + _SCALES[self.kinds[role]])


def _kept_rows(denoiser: GraphEntry) -> int:
    (rows,) = (_number(spec.shape[1]) for spec in denoiser.inputs if spec.name == PLACES)
    return FLOAT_BYTES * rows * sum(_number(spec.shape[-1]) for spec in denoiser.inputs if spec.name.startswith(KEPT))


def _kind(graph: GraphEntry) -> Kind:
    most = re.match(r"(\d+) bits", graph.stored_precision)
    if most is None or most[1] == "32":
        return "float32"
    if most[1] == "16":
        return "half"
    activations = [made.activations for made in graph.tensors.values()]
    if any(each == "dynamic int8" for each in activations):
        return "blockwise"
    return "int8" if any("int8" in each for each in activations) else "codes"


def _bits(graph: GraphEntry) -> float:
    shares = re.findall(r"(\d+) bits ([\d.]+)%", graph.stored_precision)
    return sum(int(bits) * float(share) / 100 for bits, share in shares) or 8 * FLOAT_BYTES


def _bytes(spec: TensorSpec) -> int:
    return FLOAT_BYTES * math.prod(_number(side) for side in spec.shape)


def _number(side: int | str) -> int:
    """Return a dimension, where a dynamic one is a batch of 1."""
    return side if isinstance(side, int) else 1
