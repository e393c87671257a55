"""coreai-torch without its noise: import it from here.

Its import warns of versions of torch, and of this very one because of what stands behind the number.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from coreai_torch import TorchConverter, get_decomp_table

__all__ = ["TorchConverter", "get_decomp_table", "quietly"]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep progress and warnings off the terminal for a while; errors still come as exceptions."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
