"""What is measured: rivals in two engines, and beside them bundles of ours and peers of the same checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.peers.make import OPENVINO, PLAIN, make_peers
from amused_edge.benchmarks.peers.specs import peer_specs
from amused_edge.benchmarks.rivals.make import graph
from amused_edge.benchmarks.rivals.models import DECODERS, RIVALS, UNETS, Rival
from amused_edge.benchmarks.rivals.parted import DECODER, DENOISER, PICTURE, SAMPLER, Part
from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
from amused_edge.benchmarks.subjects.embeddings import write_embeddings
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.pipeline import AmusedPipeline

PROMPT = "a red fox in the snow"
DIFFUSERS, OPENVINO_8_BIT = "diffusers, float32", "OpenVINO, 8-bit weights"
OURS = "amused-edge, w8a8 for CPUs"
ENGINES = (DIFFUSERS, OPENVINO_8_BIT)

_ROOM = "amused_edge.benchmarks.rivals"
_SUBJECTS = {DIFFUSERS: f"{_ROOM}.subject:DiffusersRival", OPENVINO_8_BIT: f"{_ROOM}.subject:OpenVinoRival"}


@dataclass(frozen=True)
class Use:
    """A way to draw pictures with a model.

    Attributes
    ----------
    label
        Of the way; the same in every engine.
    steps, branches
        Calls of the network for a picture, and rows in each.
    """

    label: str
    steps: int
    branches: int


@dataclass(frozen=True)
class Model:
    """A model in an engine, for pictures of one size: what has a turn.

    Attributes
    ----------
    side
        Of pictures, in pixels.
    decoders
        Names of those that it is measured with; of one that belongs to it, "".
    sampler
        Whether the loop's own work is a part.
    """

    spec: SubjectSpec
    engine: str
    side: int
    uses: tuple[Use, ...]
    decoders: tuple[str, ...]
    sampler: bool = False

    def parts(self, batches: Sequence[int]) -> list[Part]:
        """Return what pictures are made of, decoders for one picture and behind the network: see `memory`."""
        rows = sorted({use.branches * batch for use in self.uses for batch in batches})
        parts = [Part(DENOISER, count) for count in rows]
        parts += [Part(SAMPLER, batch) for batch in batches if self.sampler]
        return [*parts, *(Part(DECODER, 1, name) for name in self.decoders)]

    def pictures(self, decoder: str, uses: Sequence[Use]) -> list[Part]:
        """Return whole pictures."""
        return [Part(PICTURE, 1, decoder, use.label) for use in uses]


def rival_models(folder: Path, sides: Sequence[int], threads: int | None) -> list[Model]:
    """Return every network in both engines and all sizes.

    Parameters
    ----------
    folder
        What `make_rivals` made.
    """
    return [_rival(network, engine, side, folder, threads) for side in sides for network in UNETS for engine in ENGINES]


def _rival(network: str, engine: str, side: int, folder: Path, threads: int | None) -> Model:
    arguments: dict[str, Any] = {"network": network, "side": side, "engine": {"threads": threads}}
    files: tuple[Path, ...] = ()
    if engine == OPENVINO_8_BIT:
        arguments["folder"] = str(folder.resolve())
        files = tuple(graph(folder, name).with_suffix(".bin") for name in (network, *DECODERS))
    facts = {"kind": "rival", "network": network, "side": side, "bytes": {f.name: f.stat().st_size for f in files}}
    spec = SubjectSpec(f"{network}, {engine}, {side}", _SUBJECTS[engine], arguments, files, facts)
    uses = tuple(_use(rival) for rival in RIVALS if rival.network == network)
    return Model(spec, engine, side, uses, DECODERS)


def _use(rival: Rival) -> Use:
    return Use(rival.label, rival.steps, rival.branches)


def our_models(bundle: Path, checkpoint: Path, peers: Path, threads: int | None) -> list[Model]:
    """Return a bundle of ours, and the same checkpoint in the rivals' engines, which is made if it is missing.

    Parameters
    ----------
    peers
        Folder of the checkpoint's graphs in OpenVINO, see `make_peers`.
    """
    make_peers(str(checkpoint), bundle, peers)
    embeddings = peers / "embeddings-rivals.npz"
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        write_embeddings(embeddings, pipeline, [PROMPT])
    listed, _ = peer_specs(checkpoint, peers, embeddings, (PLAIN, OPENVINO))
    found = {spec.label: spec for spec in listed}
    engines = {
        OURS: bundle_specs([bundle], embeddings=embeddings)[0],
        DIFFUSERS: found["diffusers-fp32"],
        OPENVINO_8_BIT: found[OPENVINO],
    }
    return [_ours(spec, engine, bundle, threads) for engine, spec in engines.items()]


def _ours(spec: SubjectSpec, engine: str, bundle: Path, threads: int | None) -> Model:
    manifest = Bundle.open(bundle).manifest
    settings, side = manifest.sampler, manifest.geometry.image_height
    arguments = {
        "target": spec.target,
        "arguments": spec.arguments,
        "prompt": PROMPT,
        "settings": settings.to_dict(),
        "engine": {"threads": threads},
    }
    label = f"aMUSEd-{side}, {engine}, {side}"
    parted = SubjectSpec(label, f"{_ROOM}.parted:Ours", arguments, spec.files, spec.facts)
    use = Use(f"aMUSEd-{side}, {settings.steps} steps", settings.steps, settings.branches)
    return Model(parted, engine, side, (use,), ("",), sampler=engine == OURS)
