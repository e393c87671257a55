"""Core ML, on a Mac: runs the `.mlpackage`s of a bundle, compiled once per machine.

It has not been run by us: `docs/verify-on-mac.md` tells how to check it.
"""

import contextlib
import os
import platform
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry, TensorSpec
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreml.package import package
from amused_edge.runtime.engines.coreml.program import check_package
from amused_edge.runtime.engines.coreml.quiet_coremltools import ct
from amused_edge.runtime.engines.graph import Arrays, prepare_inputs
from amused_edge.runtime.engines.options import EngineOptions
from amused_edge.runtime.errors import GraphError
from amused_edge.runtime.system import cache_folder
from amused_edge.runtime.system.unfinished import remove_abandoned, unfinished

_UNITS = {
    "all": ct.ComputeUnit.ALL,
    "cpu_and_ne": ct.ComputeUnit.CPU_AND_NE,
    "cpu_and_gpu": ct.ComputeUnit.CPU_AND_GPU,
    "cpu_only": ct.ComputeUnit.CPU_ONLY,
}


class CoreMLGraph:
    """One role of a bundle in Core ML, warmed up with one call.

    The first load of a package compiles it; the compiled model is kept in the user's cache folder.
    """

    def __init__(self, bundle: Bundle, role: str, options: EngineOptions) -> None:
        self._role = role
        self._entry: GraphEntry = bundle.graph(role)
        self._temporary = TemporaryDirectory(prefix="amused-edge-", ignore_cleanup_errors=True)
        try:
            compiled = _compiled(bundle, role, Path(self._temporary.name))
            self._model: Any = ct.models.CompiledMLModel(str(compiled), _UNITS[options.compute_units])
        except OSError as error:
            raise GraphError(
                f"cannot prepare {role} of {bundle.path} for Core ML: {error}; is there room in the temporary folder?"
            ) from error
        except RuntimeError as error:
            raise GraphError(
                f"Core ML cannot load {role} of {bundle.path}: {error}; it needs {bundle.manifest.engine.version} or "
                "the macOS of that year; verify the bundle with `amused-edge inspect --verify`"
            ) from error
        self({spec.name: np.zeros(_sides(spec), spec.dtype) for spec in self._entry.inputs})

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`; nothing stops it within."""
        if self._model is None:
            raise GraphError(f"{self._role} was closed; make a new pipeline")
        feeds = prepare_inputs(self._role, self._entry, inputs)
        try:
            found = self._model.predict({spec.name: _given(spec, feeds[spec.name]) for spec in self._entry.inputs})
        except RuntimeError as error:
            raise GraphError(f"Core ML failed in {self._role}: {error}") from error
        return {spec.name: _taken(spec, found[spec.name]) for spec in self._entry.outputs}

    def close(self) -> None:
        """Drop the model."""
        self._model = None
        self._temporary.cleanup()


def _sides(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(int(side) for side in spec.shape)


def _given(spec: TensorSpec, value: NDArray[Any]) -> Any:
    """Turn an array into what Core ML takes: its Python side reads float32 in place of float16, and images from PIL."""
    if spec.layout == "picture":
        return Image.fromarray(value[0])
    return value.astype(np.float32) if value.dtype == np.float16 else value


def _taken(spec: TensorSpec, value: Any) -> NDArray[Any]:
    if spec.layout == "picture":
        return np.asarray(value.convert("RGB"), np.uint8)[None]
    return np.asarray(value, spec.dtype)


def _compiled(bundle: Bundle, role: str, temporary: Path) -> Path:
    """Return the compiled model of a role, compiling it if this bundle, on this system, has none; into the temporary
    folder where none can be kept.
    """
    folder = cache_folder.folder("compiled")
    if folder is None:
        cache_folder.note(None)
        return _compile(bundle, role, temporary)
    files = bundle.graph(role).files  # those of a bundle of the hub may be all that is here
    try:
        return _compile(
            bundle, role, folder / f"{verification.fingerprint(bundle, files)[:32]}-{platform.mac_ver()[0]}"
        )
    except OSError as error:
        cache_folder.note(folder, error)
        return _compile(bundle, role, temporary)


def _compile(bundle: Bundle, role: str, place: Path) -> Path:
    """Return the compiled model in a folder, where it appears complete or not at all, so that several processes may
    compile at once.
    """
    compiled = place / f"{role}.mlmodelc"
    if os.path.exists(compiled):
        return compiled
    place.mkdir(parents=True, exist_ok=True)
    remove_abandoned(compiled)
    partial = unfinished(compiled, ".mlmodelc")
    source = package(bundle, role)
    check_package(source)
    try:
        with TemporaryDirectory(prefix="amused-edge-") as plain:
            if bundle.links:  # nobody says that Core ML's compiler follows links
                source = Path(shutil.copytree(source, Path(plain) / source.name))
            ct.models.utils.compile_model(str(source), str(partial))
        with contextlib.suppress(OSError):  # another process was faster
            partial.rename(compiled)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return compiled
