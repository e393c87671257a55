"""The bundles that are served: their names on the wire, what is told of them, and pipelines once someone draws."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from amused_edge.runtime import AmusedPipeline, Bundle, EngineOptions
from amused_edge.runtime.bundle.manifest import MANIFEST_NAME
from amused_edge.serve.http.files import File


@dataclass(frozen=True)
class Entry:
    """A bundle under its name on the wire."""

    id: str
    bundle: Bundle
    made: float = field(compare=False, default=0.0)

    def describe(self) -> dict[str, Any]:
        """Return what the page is told (JSON)."""
        manifest = self.bundle.manifest
        geometry, recipe = manifest.geometry, manifest.quantization and manifest.quantization.recipe.get("name")
        return {
            "id": self.id,
            "name": manifest.model.name,
            "recipe": recipe or "",
            "target": manifest.target,
            "files": f"/bundles/{quote(self.id)}/",
            "bytes": manifest.bytes,
            "sha256": self.bundle.sha256,
            "image_size": {"width": geometry.image_width, "height": geometry.image_height},
            "capabilities": {
                "browser": manifest.target == "onnx",
                "tasks": ["text_to_image", "variation", "inpainting", "outpainting"],
            },
        }

    def file(self, path: str) -> File | None:
        """Return a file that may be fetched: the manifest, or one that it lists; None of any other name."""
        if path == MANIFEST_NAME:
            content = self.bundle.path / MANIFEST_NAME
            return File(content, self.bundle.sha256)
        for entry in self.bundle.manifest.all_files():
            if entry.path == path:
                self.bundle.check_unchanged(entry)
                return File(self.bundle.file(entry), entry.sha256)
        return None


class Shelf:
    """All bundles that are served.

    Parameters
    ----------
    paths
        Of one bundle or more.
    engine
        Of the pipelines.

    Raises
    ------
    BundleError
        One cannot be opened.
    """

    def __init__(self, paths: Sequence[Path], engine: EngineOptions | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self._engine = engine or EngineOptions()
        self._pipelines: dict[str, AmusedPipeline] = {}
        self._lock = threading.Lock()
        for path in paths:
            bundle = Bundle.open(path)
            bundle.fetch()  # pages ask for any of its files
            made = (bundle.path / MANIFEST_NAME).stat().st_mtime
            id = _free_name(bundle.name, self.entries.__contains__)
            self.entries[id] = Entry(id, bundle, made)

    def pipeline(self, id: str) -> AmusedPipeline:
        """Return the pipeline of a bundle, opened when it is first asked for; raises as `from_bundle`."""
        with self._lock:
            if id not in self._pipelines:
                self._pipelines[id] = AmusedPipeline.from_bundle(self.entries[id].bundle, self._engine)
            return self._pipelines[id]

    def close(self) -> None:
        """Release the engines' memory."""
        for pipeline in self._pipelines.values():
            pipeline.close()


def _free_name(name: str, taken: Callable[[str], bool]) -> str:
    """Return a name of letters, digits and `-._`, which stand in addresses as they are, that is not taken."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-._") else "-" for letter in name)
    plain = plain.strip(".") or "bundle"
    found, number = plain, 1
    while taken(found):
        number += 1
        found = f"{plain}-{number}"
    return found
