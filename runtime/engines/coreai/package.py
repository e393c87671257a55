"""A bundle's Core AI packages as files."""

import json
from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.errors import BundleError, quoted

PROGRAM, HASH, METADATA = "main.mlirb", "main.hash", "metadata.json"
"""A package's files: the program with its weights, the program's SHA-256, who wrote it in which version."""

GOLDEN_TOLERANCE = Tolerance(logits=5e-2, pixels=4)
"""Apple's processors sum in an order and a precision of their own. A guess until a device has run such bundles."""

NEWEST_FORMAT = 2
"""The first number of a package's version; Core AI does not promise to refuse newer ones."""


def package_name(role: str) -> str:
    """Return the name of a role's package in its bundle."""
    return f"{role}.aimodel"


def package_files(role: str) -> tuple[str, ...]:
    """Return the files of a role's package by their paths in the bundle, the program first."""
    return tuple(f"{package_name(role)}/{name}" for name in (PROGRAM, HASH, METADATA))


def package(bundle: Bundle, role: str) -> Path:
    """Return where the package of a role lies.

    Raises
    ------
    BundleError
        Its files are not those of a package, or its format is newer than what this amused-edge knows.
    """
    listed = {bundle.file(file) for file in bundle.graph(role).files}
    folder = bundle.file(bundle.graph(role).files[0]).parent
    if listed != {folder / name for name in (PROGRAM, HASH, METADATA)}:
        raise BundleError(f"{bundle.path}: {role} lists other files than a Core AI package has; copy the bundle again")
    _check_format(folder)
    return folder


def _check_format(folder: Path) -> None:
    try:
        version = json.loads((folder / METADATA).read_text(encoding="utf-8"))["assetVersion"]
        major = int(version.partition(".")[0])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{folder / METADATA} says no format's version; copy the bundle again") from error
    if major > NEWEST_FORMAT:
        raise BundleError(
            f"{folder} has the format {quoted(version)}, this amused-edge reads up to {NEWEST_FORMAT}; "
            "upgrade amused-edge and coreai-core"
        )
