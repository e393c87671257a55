"""coremltools without its noise: import it from here.

Its import warns of Apple's frameworks, which other systems do not have, and of versions of torch.
"""

import contextlib
import gc
import io
import logging
import re
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

logging.getLogger("coremltools").setLevel(logging.ERROR)
import coremltools as ct  # noqa: E402
from coremltools.converters.mil.frontend.milproto.load import load as load_program  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402
from coremltools.models import model as _models  # noqa: E402

from amused_edge.runtime.errors import first_line  # noqa: E402

_WRITING = re.compile(r"writ|stor(e|age)|sav(e|ing)|cop(y|ied)|package|\bfile", re.IGNORECASE)
"""In what coremltools says where the disk does not take a file: it has no kind of error for that."""

__all__ = ["ct", "load_program", "quietly", "types", "writing"]


class _Forgotten:
    """In the place of `atexit`: copies go with their folder, and where they cannot, the end of the process is quiet."""

    def register(self, *_: object) -> None:
        """Do nothing."""


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep progress bars and warnings off the terminal for a while; errors still come as exceptions."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def writing(package: Path) -> Iterator[None]:
    """Be quiet, and keep what coremltools puts into the temporary folder in one beside a package, which goes again; the
    package becomes the same each time.

    It keeps a copy of each package there until the process ends, and forever if that is killed. Beside a bundle in the
    making, also what a killed process left goes when the bundle is made again.

    Raises
    ------
    OSError
        A file could not be written, which coremltools tells as `RuntimeError`.
    """
    before, at_exit = tempfile.tempdir, _models._atexit
    with quietly(), tempfile.TemporaryDirectory(dir=package.parent, ignore_cleanup_errors=True) as folder:
        tempfile.tempdir, _models._atexit = folder, _Forgotten()
        try:
            yield
            _in_one_order(package)
        except BaseException as error:
            _let_go(error)
            if not isinstance(error, RuntimeError) or _WRITING.search(str(error)) is None:
                raise
            raise OSError(f"coremltools: {first_line(error)}") from error
        finally:
            tempfile.tempdir, _models._atexit = before, at_exit


def _let_go(error: BaseException | None) -> None:
    """Have temporary files that an error's frames hold go now, quietly: where a disk cannot remove them, each would
    tell so by a traceback at the end of the process.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
    gc.collect()


def _in_one_order(package: Path) -> None:
    """Write a package's model anew with its tables sorted: protobuf leaves them in an order of each process's own."""
    file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    if file.exists():
        model = ct.proto.Model_pb2.Model()
        model.ParseFromString(file.read_bytes())
        file.write_bytes(model.SerializeToString(deterministic=True))
