"""A bundle's Core AI packages as files."""

from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.errors import BundleError

PROGRAM, HASH, METADATA = "main.mlirb", "main.hash", "metadata.json"
"""A package's files: the program with its weights, the program's SHA-256, who wrote it in which format."""

GOLDEN_TOLERANCE = Tolerance(logits=5e-2, pixels=4)
"""Apple's processors sum in an order and a precision of their own. A guess until a device has run such bundles."""


def package_name(role: str) -> str:
    """Return the name of a role's package in its bundle."""
    return f"{role}.aimodel"


def package_files(role: str) -> tuple[str, ...]:
    """Return the files of a role's package by their paths in the bundle, the program first."""
    return tuple(f"{package_name(role)}/{name}" for name in (PROGRAM, HASH, METADATA))


def package(bundle: Bundle, role: str) -> Path:
    """Return where the package of a role lies; raises `BundleError` if its files are not those of a package."""
    listed = {bundle.file(file) for file in bundle.graph(role).files}
    folder = bundle.file(bundle.graph(role).files[0]).parent
    if listed != {folder / name for name in (PROGRAM, HASH, METADATA)}:
        raise BundleError(f"{bundle.path}: {role} lists other files than a Core AI package has; make the bundle again")
    return folder
