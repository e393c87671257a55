"""coremltools without its noise: import it from here.

Its import warns of Apple's frameworks, which other systems do not have, and of versions of torch.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

logging.getLogger("coremltools").setLevel(logging.ERROR)
import coremltools as ct  # noqa: E402
from coremltools.converters.mil.converter import mil_convert  # noqa: E402
from coremltools.converters.mil.frontend.milproto.load import load as load_program  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402
from coremltools.models import model as models  # noqa: E402

__all__ = ["ct", "load_program", "mil_convert", "models", "quietly", "types"]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep progress bars and warnings off the terminal for a while; errors still come as exceptions."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
