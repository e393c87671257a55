"""A bundle's Core ML packages as files."""

import json
import uuid
from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle

_DEBUG_FILE = "executorch_debug_handle_mapping.json"
"""Written beside a model for a debugger; no part of the package."""


def package(bundle: Bundle, role: str) -> Path:
    """Return where the `.mlpackage` of a role lies."""
    return bundle.file(bundle.graph(role).files[0]).parent


def package_files(folder: Path, name: str) -> list[str]:
    """Return the files of the package `name` by their paths below `folder`, the package's own manifest first.

    What coremltools leaves there for debuggers is removed, and its random names of the parts are replaced, so that the
    same weights give the same package.
    """
    (folder / name / _DEBUG_FILE).unlink(missing_ok=True)
    _name_parts(folder / name / "Manifest.json")
    files = sorted(file for file in (folder / name).rglob("*") if file.is_file())
    names = [file.relative_to(folder).as_posix() for file in files]
    return sorted(names, key=lambda path: path != f"{name}/Manifest.json")


def _name_parts(manifest: Path) -> None:
    """Name the parts of a package after their paths in it, where coremltools draws UUIDs."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    parts = content["itemInfoEntries"]
    names = {drawn: str(uuid.uuid5(uuid.NAMESPACE_URL, part["path"])) for drawn, part in parts.items()}
    content["itemInfoEntries"] = {names[drawn]: parts[drawn] for drawn in sorted(parts, key=names.__getitem__)}
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
