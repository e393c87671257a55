"""A bundle's Core ML packages as files."""

from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle


def package(bundle: Bundle, role: str) -> Path:
    """Return where the `.mlpackage` of a role lies."""
    return bundle.file(bundle.graph(role).files[0]).parent


def package_files(folder: Path, name: str) -> list[str]:
    """Return the files of the package `name` by their paths below `folder`, the package's own manifest first."""
    files = sorted(file for file in (folder / name).rglob("*") if file.is_file())
    names = [file.relative_to(folder).as_posix() for file in files]
    return sorted(names, key=lambda path: path != f"{name}/Manifest.json")
