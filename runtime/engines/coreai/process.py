"""Starts the process that opens a package, talks with it, and ends it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from amused_edge.runtime.bundle.graph_entry import TensorSpec
from amused_edge.runtime.engines.coreai.channel import Arrays, Fields, receive, send
from amused_edge.runtime.errors import GraphError

_WORKER = "amused_edge.runtime.engines.coreai.worker"
_TAIL = 2000
"""Characters of what a process wrote last, in which the reason of its end is looked for."""

NOT_INSTALLED = (
    "Core AI bundles need coreai-core, which is not installed: pip install 'amused-edge[coreai]'; it comes for Linux "
    "on x86-64 and for macOS on Apple silicon only"
)


class Worker:
    """A process at work on one package.

    Parameters
    ----------
    task
        "run" or "check", see the worker's module.

    Raises
    ------
    GraphError
        Core AI is not to be had here, or no process can be started.
    """

    def __init__(self, task: str, package: Path, temporary: str) -> None:
        if find_spec("coreai") is None:
            raise GraphError(NOT_INSTALLED)
        self._owner = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._connection, theirs = Pipe()
        with theirs:
            channel = theirs.fileno()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", _WORKER, task, str(channel), str(package.absolute())],
                    pass_fds=(channel,),
                    stdin=subprocess.DEVNULL,
                    stdout=self._said,
                    stderr=self._said,
                    env={**os.environ, "TMPDIR": temporary},
                    start_new_session=True,  # an interrupt of the terminal is for the caller, who ends this process
                )
            except OSError as error:
                raise GraphError(f"cannot start a process for Core AI: {error}; is there memory left?") from error

    @property
    def usable(self) -> bool:
        """Whether this process may talk with it: one that was forked off may not."""
        return self._owner == os.getpid()

    def ask(self, inputs: Arrays) -> None:
        """Send inputs; if it has ended, its answer will say so."""
        with contextlib.suppress(OSError):
            send(self._connection, {}, inputs)

    def answer(self, what: str) -> tuple[Fields, dict[str, NDArray[Any]]]:
        """Wait for its answer; raises `GraphError`, with what it should do, if it failed or ended."""
        try:
            fields, arrays = receive(self._connection)
        except (EOFError, OSError) as error:
            raise GraphError(f"Core AI ended when it should {what} ({self._reason()})") from error
        if "error" in fields:
            raise GraphError(f"Core AI cannot {what} ({fields['error']})")
        return fields, arrays

    def end(self) -> None:
        """End the process, whatever it does; its memory is free when this returns."""
        if self.usable:
            self._process.kill()
            self._process.wait()

    def _reason(self) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - _TAIL))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        told = [line.partition("error: ")[2] for line in lines if "error: " in line]
        return ": ".join((how, *(told or lines[-1:])[:1]))


class PackageProcess:
    """A process that has loaded one package.

    Attributes
    ----------
    inputs, outputs
        As the package states them.
    precisions
        In what it asks for its operations.

    Raises
    ------
    GraphError
        As of `Worker`, or Core AI cannot load the package.
    """

    def __init__(self, package: Path) -> None:
        # What is compiled is mapped when it is loaded, and so needs no name any more.
        with tempfile.TemporaryDirectory(prefix="amused-edge-", ignore_cleanup_errors=True) as temporary:
            self._worker = Worker("run", package, temporary)
            try:
                fields, _ = self._worker.answer("load the package")
            except BaseException:
                self._worker.end()
                raise
        self.inputs, self.outputs = _specs(fields["inputs"]), _specs(fields["outputs"])
        self.precisions: str = fields["precisions"]

    @property
    def usable(self) -> bool:
        """See `Worker`."""
        return self._worker.usable

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run the package once; whoever is stopped on the way must end the process, whose answer is still to come."""
        self._worker.ask(inputs)
        return self._worker.answer("run the package")[1]

    def end(self) -> None:
        """See `Worker`."""
        self._worker.end()


def not_finite(package: Path) -> list[str]:
    """Return the names of a package's stored floats among which there is NaN or infinity; raises as `Worker`."""
    with tempfile.TemporaryDirectory(prefix="amused-edge-", ignore_cleanup_errors=True) as temporary:
        worker = Worker("check", package, temporary)
        try:
            names: list[str] = worker.answer("read the package")[0]["not_finite"]
            return names
        finally:
            worker.end()


def _specs(listed: list[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in listed)
