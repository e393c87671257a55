"""Core AI as an engine: one role of a bundle, run by a process of its own."""

import threading
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from numpy.typing import NDArray

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreai.package import package
from amused_edge.runtime.engines.coreai.process import PackageProcess
from amused_edge.runtime.engines.graph import Arrays, prepare_inputs
from amused_edge.runtime.errors import BundleError, GraphError


class CoreAIGraph:
    """One role of a bundle. Calls of several threads wait for each other.

    The hashes of its files are checked in any case before Core AI sees them: a changed byte makes it abort, or compute
    something else.
    """

    def __init__(self, bundle: Bundle, role: str) -> None:
        self._role = role
        self._bundle = bundle
        self._entry: GraphEntry = bundle.graph(role)
        self._lock = threading.Lock()
        self._closed = False
        self._process: PackageProcess | None = self._start()
        for specs, found in (
            (self._entry.inputs, self._process.inputs),
            (self._entry.outputs, self._process.outputs),
        ):
            if {(spec.name, spec.dtype, spec.shape) for spec in specs} != {(f.name, f.dtype, f.shape) for f in found}:
                self.close()
                raise BundleError(
                    f"the package of {role} has {[spec.name for spec in found]}, of other names, types or shapes than "
                    f"the manifest says; do not use this bundle"
                )

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`; nothing stops it within."""
        feeds = prepare_inputs(self._role, self._entry, inputs)
        with self._lock:
            process = self._running()
            try:
                return process.run(feeds)
            except GraphError as error:
                self._drop(process)
                self._check_open()
                raise GraphError(f"{self._role}: {error}") from error
            except BaseException:
                self._drop(process)
                raise

    def close(self) -> None:
        """End the process."""
        self._closed = True
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _running(self) -> PackageProcess:
        """Return the process; one that was given up, or is another process's, is started anew."""
        self._check_open()
        if self._process is None or not self._process.usable:
            self._process = self._start()
        return self._process

    def _drop(self, process: PackageProcess) -> None:
        self._process = None
        process.end()

    def _check_open(self) -> None:
        if self._closed:
            raise GraphError(f"{self._role} was closed; make a new pipeline")

    def _start(self) -> PackageProcess:
        folder = package(self._bundle, self._role)
        verification.verify_files(self._bundle, self._entry.files)
        try:
            return PackageProcess(folder)
        except GraphError as error:
            made = self._bundle.manifest.tools.get("coreai-core", "?")
            raise GraphError(f"{folder}: {error}; it was made with coreai-core {made}, {_installed()}") from error


def _installed() -> str:
    try:
        return f"and {version('coreai-core')} is installed: if that is older, upgrade it"
    except PackageNotFoundError:
        return "and none is installed"
