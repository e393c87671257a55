"""Nodes that would draw other pictures are told by what differs."""

import pytest

from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.benchmarks.cluster.kin import check_kin, own_facts

WANTED = {"amused-edge": "1.2", "numpy": "2.4", "flags": ["avx2", "avx512_vnni"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amused-edge": None}, "node n7 has no amused-edge; install amused-edge 1.2 there"),
        ({"amused-edge": "1.1"}, "node n7 has amused-edge '1.1', this machine '1.2'; install the same"),
        ({"numpy": "2.3"}, "node n7 has numpy '2.3', this machine '2.4'"),
        ({"flags": ["avx2", "fma"]}, r"the CPU of node n7 is of another kind \(avx512_vnni, fma on one of the two\)"),
    ],
)
def test_the_first_difference_is_named(change: dict[str, object], words: str) -> None:
    check_kin("n7", WANTED, WANTED)
    with pytest.raises(ClusterError, match=words):
        check_kin("n7", {**WANTED, **change}, WANTED)


def test_this_machine_is_like_itself() -> None:
    facts = own_facts()
    assert facts["amused-edge"] is not None
    check_kin("here", own_facts(), facts)
