"""Whether a node computes what this machine would: the same packages, and a CPU with the same instructions."""

from collections.abc import Mapping
from typing import Any

from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.benchmarks.machine.environment import environment
from amused_edge.runtime.errors import quoted

PACKAGES = ("amused-edge", "numpy", "onnxruntime", "tokenizers")

Facts = Mapping[str, Any]
"""Name -> version or instructions, JSON."""


def own_facts() -> dict[str, Any]:
    """Return what of this machine decides about the last bits of a picture."""
    machine = environment()
    return {**{name: machine.packages.get(name) for name in PACKAGES}, "flags": list(machine.flags)}


def check_kin(node: str, found: Facts, wanted: Facts) -> None:
    """Raise `ClusterError` where a node has other packages or instructions than wanted."""
    for name, value in wanted.items():
        other = found.get(name)
        if other == value:
            continue
        if name == "flags":
            differing = ", ".join(sorted({*(other or ()), *(value or ())} - ({*(other or ())} & {*(value or ())})))
            raise ClusterError(
                f"the CPU of node {node} is of another kind ({differing} on one of the two), and would draw other "
                "pictures; take nodes of one kind, and start the command on one of them"
            )
        if other is None:
            raise ClusterError(f"node {node} has no {name}; install {name} {value} there")
        raise ClusterError(
            f"node {node} has {name} {quoted(other)}, this machine {quoted(value)}; install the same on all nodes"
        )
