"""What goes wrong with a cluster."""

from amused_edge.runtime.errors import AmusedEdgeError


class ClusterError(AmusedEdgeError):
    """A cluster cannot be reached, a node cannot do the work, or work was lost too often."""
