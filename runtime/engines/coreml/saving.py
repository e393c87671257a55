"""Saves what coremltools made as a package, so that it is whole or there is an error.

Its writer of weights says nothing where a disk does not take them, and what it puts beside a package stays there until
the process ends.
"""

import contextlib
import errno
import gc
import json
import os
import re
import shutil
import tempfile
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.read_back import check_written
from amused_edge.runtime.engines.coreml.program import FUNCTION, Program, blob_offsets, load, program_of, readable
from amused_edge.runtime.engines.coreml.quiet_coremltools import ct, models, quietly
from amused_edge.runtime.errors import first_line

_WRITING = re.compile(r"writ|stor(e|age)|sav(e|ing)|cop(y|ied)|package|\bfile", re.IGNORECASE)
"""In what coremltools says where the disk does not take a file: it has no kind of error for that."""

_MODEL, _WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"
_FILES = {"Manifest.json", _MODEL, _WEIGHTS}
"""Of a package; the last only where it has large values."""

_DEBUG_FILE = "executorch_debug_handle_mapping.json"
"""Written beside a model for a debugger; no part of the package."""


@contextlib.contextmanager
def converting(folder: Path) -> Iterator[None]:
    """Be quiet, and keep what coremltools puts into the temporary folder in one in `folder`, which goes again.

    It keeps a copy of each package there until the process ends, and forever if that is killed. In a bundle in the
    making, also what a killed process left goes when the bundle is made again.

    Raises
    ------
    OSError
        A file could not be written, which coremltools tells as `RuntimeError`, or not removed.
    """
    before, at_exit = tempfile.tempdir, models._atexit
    copies = tempfile.mkdtemp(dir=folder)
    with quietly():
        tempfile.tempdir, models._atexit = copies, _Forgotten()
        try:
            yield
        except BaseException as error:
            _let_go(error)
            if not isinstance(error, RuntimeError) or _WRITING.search(str(error)) is None:
                raise
            raise OSError(f"coremltools: {first_line(error)}") from error
        finally:
            tempfile.tempdir, models._atexit = before, at_exit
            for _ in range(2):  # a disk may fail once
                shutil.rmtree(copies, ignore_errors=True)
    if os.path.exists(copies):
        raise OSError(errno.EIO, "coremltools' copies cannot be removed", copies)


class _Forgotten:
    """In the place of `atexit`: copies go with their folder, and where they cannot, the end of the process is quiet."""

    def register(self, *_: object) -> None:
        """Do nothing."""


def _let_go(error: BaseException | None) -> None:
    """Have temporary files that an error's frames hold go now, quietly: where a disk cannot remove them, each would
    tell so by a traceback at the end of the process. A frame keeps its function when it is cleared, and those of
    `tempfile` keep their file: they are left out.
    """
    while error is not None:
        step = error.__traceback__
        while step is not None:
            if step.tb_next is not None and step.tb_next.tb_frame.f_code.co_filename == tempfile.__file__:
                step.tb_next = None
            step = step.tb_next
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
    gc.collect()


def save_package(model: Any, package: Path) -> Program:
    """Save an `MLModel` that coremltools converted or compressed, the same bytes each time, and return its program.

    Raises
    ------
    OSError
        What is there is not what the model holds, because a file could not be written.
    BundleError
        It cannot be read, for the same reason.
    """
    model.save(str(package))
    (package / _DEBUG_FILE).unlink(missing_ok=True)
    _in_one_order(package)
    _name_parts(package / "Manifest.json")
    found = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    if others := found - _FILES:
        raise OSError(errno.EIO, f"coremltools left other files: {sorted(others)}", str(package))
    with readable(package):
        made, spec = load(package)
    check_written(package, _values(model._mil_program), _values(made))
    if stored := len(set(blob_offsets(spec))):
        count = int(np.fromfile(package / _WEIGHTS, "<u4", 1)[0])
        if count != stored:
            raise OSError(errno.EIO, f"the weights' file says that it has {count} of {stored} values", str(package))
    return program_of(made, spec)


def _in_one_order(package: Path) -> None:
    """Write a package's model anew with its tables sorted: protobuf leaves them in an order of each process's own."""
    file = package / _MODEL
    model = ct.proto.Model_pb2.Model()
    model.ParseFromString(file.read_bytes())
    file.write_bytes(model.SerializeToString(deterministic=True))


def _name_parts(manifest: Path) -> None:
    """Name the parts of a package after their paths in it, where coremltools draws UUIDs."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    parts = content["itemInfoEntries"]
    names = {drawn: str(uuid.uuid5(uuid.NAMESPACE_URL, part["path"])) for drawn, part in parts.items()}
    content["itemInfoEntries"] = {names[drawn]: parts[drawn] for drawn in sorted(parts, key=names.__getitem__)}
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def _values(program: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays of a program's constants by name, type and shape. Parts of compressed ones have the names of
    what they become: coremltools gives the parts themselves names that it does not keep.
    """
    found: dict[str, Any] = {}
    for op in program.functions[FUNCTION].operations:
        name = op.outputs[0].name
        if op.op_type.startswith("constexpr_"):
            found.update({f"{name}, {part}": var.val for part, var in op.inputs.items() if var is not None})
        elif op.op_type == "const" and not _only_compressed(op):
            found[name] = op.outputs[0].val
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    return {f"{name}, {value.dtype} {value.shape}": value for name, value in arrays.items()}


def _only_compressed(op: Any) -> bool:
    users = op.outputs[0].child_ops
    return bool(users) and all(user.op_type.startswith("constexpr_") for user in users)
