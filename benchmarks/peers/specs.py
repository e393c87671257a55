"""The peers that can be measured on this machine, and why others cannot."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.machine.environment import environment
from amused_edge.benchmarks.peers.make import OPENVINO, OPTIMUM, PLAIN, check_made, checkpoint_hash, weight_files
from amused_edge.benchmarks.peers.one_graph import FACTS_NAME
from amused_edge.benchmarks.subjects.subject import SubjectSpec

# By name, so that what measures need not import what is measured.
_PEERS = "amused_edge.benchmarks.peers"
_DIFFUSERS = f"{_PEERS}.diffusers_subject:DiffusersSubject"
_ONNX = f"{_PEERS}.onnx_subject:OnnxSubject"
_OPENVINO = f"{_PEERS}.openvino_subject:OpenVinoSubject"

_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def _facts(source: str, files: Sequence[Path]) -> dict[str, Any]:
    sizes = {f"{file.parent.name}/{file.name}": file.stat().st_size for file in files}
    return {"kind": "peer", "checkpoint_sha256": source, "bytes": sizes}


GRAPHS = {PLAIN: _ONNX, OPTIMUM: _ONNX, OPENVINO: _OPENVINO}


def peer_specs(
    checkpoint: Path, peers: Path, embeddings: Path, graphs: Sequence[str] = tuple(GRAPHS)
) -> tuple[list[SubjectSpec], dict[str, str]]:
    """Return the peers, diffusers in float32 first, and why others are left out, by label.

    Parameters
    ----------
    peers
        What `make_peers` made of the checkpoint.
    embeddings
        Of the prompts, see `write_embeddings`.
    graphs
        Names of those that were made.
    """
    source = checkpoint_hash(checkpoint)
    for name in graphs:
        check_made(peers / name, source)
    facts = json.loads((peers / PLAIN / FACTS_NAME).read_text(encoding="utf-8"))
    sizes = {name: facts[name] for name in ("geometry", "micro_conditions")}
    weights = weight_files(checkpoint)

    def diffusers(label: str, **more: Any) -> SubjectSpec:
        arguments = {"checkpoint": str(checkpoint.resolve()), "embeddings": str(embeddings.resolve()), **sizes, **more}
        return SubjectSpec(label, _DIFFUSERS, arguments, tuple(weights), {**_facts(source, weights), **more})

    def one_graph(name: str) -> SubjectSpec:
        folder = (peers / name).resolve()
        files = [file for file in sorted(folder.iterdir()) if file.suffix in (".onnx", ".data", ".xml", ".bin")]
        arguments = {"folder": str(folder), "embeddings": str(embeddings.resolve())}
        return SubjectSpec(name, GRAPHS[name], arguments, tuple(files), _facts(source, files))

    specs = [diffusers("diffusers-fp32"), diffusers("diffusers-fp32-compiled", compiled=True)]
    left_out = {}
    if _BFLOAT16.intersection(environment().flags):
        specs.append(diffusers("diffusers-bf16", dtype="bfloat16"))
    else:
        left_out["diffusers-bf16"] = "this CPU has no bfloat16 arithmetic; PyTorch would emulate it"
    return [*specs, *(one_graph(name) for name in graphs)], left_out
