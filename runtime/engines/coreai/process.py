"""Starts the process of a package, talks with it, and ends it."""

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
        Core AI is not to be had here, or cannot load the package.
    """

    def __init__(self, package: Path) -> None:
        if find_spec("coreai") is None:
            raise GraphError(NOT_INSTALLED)
        self._owner = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._connection, theirs = Pipe()
        # What is compiled is mapped when it is loaded, and so needs no name any more.
        with tempfile.TemporaryDirectory(prefix="amused-edge-", ignore_cleanup_errors=True) as temporary:
            with theirs:
                self._process = self._start(package, theirs.fileno(), temporary)
            try:
                fields, _ = self._answer("load the package")
            except BaseException:
                self.end()
                raise
        self.inputs, self.outputs = _specs(fields["inputs"]), _specs(fields["outputs"])
        self.precisions: str = fields["precisions"]

    def _start(self, package: Path, channel: int, temporary: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, str(channel), str(package.absolute())],
            pass_fds=(channel,),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            env={**os.environ, "TMPDIR": temporary},
            start_new_session=True,  # an interrupt of the terminal is for the caller, who ends this process
        )

    @property
    def usable(self) -> bool:
        """Whether this process may talk with it: one that was forked off may not."""
        return self._owner == os.getpid()

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run the package once; whoever is stopped on the way must end the process, whose answer is still to come."""
        with contextlib.suppress(OSError):  # it has ended; the answer says so
            send(self._connection, {}, inputs)
        return self._answer("run the package")[1]

    def end(self) -> None:
        """End the process, whatever it does; its memory is free when this returns."""
        if self.usable:
            self._process.kill()
            self._process.wait()

    def _answer(self, what: str) -> tuple[Fields, dict[str, NDArray[Any]]]:
        try:
            fields, arrays = receive(self._connection)
        except (EOFError, OSError) as error:
            raise GraphError(f"Core AI ended when it should {what}: {self._reason()}") from error
        if "error" in fields:
            raise GraphError(f"Core AI cannot {what}: {fields['error']}")
        return fields, arrays

    def _reason(self) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - _TAIL))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return f"{how}, {lines[-1]}" if lines else how


def _specs(listed: list[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in listed)
