"""What a client may read of an error of ours: none names a file of this machine."""

import logging

from amused_edge.runtime.errors import GenerationError

logger = logging.getLogger(__name__)


def told_of(error: Exception) -> str:
    """Return an error's text if it is about what was asked or drawn; of others the kind, and log their text."""
    if isinstance(error, GenerationError | ValueError):
        return str(error)
    logger.error("%s: %s", type(error).__name__, error)
    return f"{type(error).__name__}; the server's terminal says more"
