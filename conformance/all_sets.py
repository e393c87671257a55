"""All sets, in the order in which a report tells of them."""

from pathlib import Path

from amused_edge.conformance.sets import canvas, loops, philox, sampler, schedule, starts, states
from amused_edge.conformance.sets.bundles import bundle_sets
from amused_edge.conformance.sets.drawn import drawn_sets
from amused_edge.conformance.sets.tokenizer import tokenizer_sets
from amused_edge.conformance.vector_set import VectorSet


def all_sets(bundle: Path, recipes: Path) -> tuple[VectorSet, ...]:
    """Return the sets.

    Parameters
    ----------
    bundle
        The demo's bundle, which some cases are about.
    recipes
        Folder of the demo's bundles by other recipes, `demo-fp32` and so on; those that are not there are skipped.
    """
    return (
        *philox.SETS,
        *schedule.SETS,
        *sampler.SETS,
        *loops.SETS,
        *tokenizer_sets(bundle),
        *starts.SETS,
        *canvas.SETS,
        *states.SETS,
        *bundle_sets(bundle),
        *drawn_sets(bundle, recipes),
    )
