"""The process that opens one package: `python -m amused_edge.runtime.engines.coreai.worker TASK CHANNEL PACKAGE`.

To "run", it says what the package takes and gives, then answers each message of inputs with one of outputs, until the
other side is gone. To "check", it says which of the stored floats are not finite. Core AI is asynchronous, here and
nowhere else.
"""

import asyncio
import contextlib
import platform
import sys
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from coreai.authoring import AIModelAsset
from coreai.runtime import NDArray

from amused_edge.runtime.engines.coreai.channel import Fields, receive, send
from amused_edge.runtime.engines.coreai.constants import stored_floats
from amused_edge.runtime.engines.coreai.products import widen_products
from amused_edge.runtime.engines.coreai.program import Program
from amused_edge.runtime.errors import first_line

FUNCTION = "main"


def main(task: str, channel: int, package: Path) -> None:
    """Do the task until the other side closes the channel."""
    connection = Connection(channel)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            if task == "check":
                spoilt = [name for name, values in stored_floats(package) if not np.isfinite(values).all()]
                send(connection, {"not_finite": spoilt})
            else:
                asyncio.run(_serve(connection, package))
        except (EOFError, OSError):
            raise
        except Exception as error:  # Core AI raises RuntimeError, KeyError and more
            send(connection, {"error": first_line(error)})


async def _serve(connection: Connection, package: Path) -> None:
    async with _loaded(package) as (function, described):
        send(connection, described)
        while True:
            _, inputs = receive(connection)
            try:
                found = await function({name: NDArray(value) for name, value in inputs.items()})
            except RuntimeError as error:
                send(connection, {"error": first_line(error)})
                continue
            send(connection, {}, {name: np.asarray(value.numpy()) for name, value in found.items()})


@contextlib.asynccontextmanager
async def _loaded(package: Path) -> AsyncIterator[tuple[Any, Fields]]:
    """Give the package's function, and what it takes and gives."""
    asset = AIModelAsset.load(package)
    program = Program(package)
    precisions = program.precisions()
    with TemporaryDirectory() as folder:
        if sys.platform != "darwin" and widen_products(program, package):
            asset = program.program.save_asset(Path(folder) / package.name)
            precisions += f", products of halves summed in float32 on {platform.system()}"
        del program
        async with asset.executable() as model:
            function = model.load_function(FUNCTION)
            described = _described(function.desc)
            yield function, {**described, "precisions": precisions}


def _described(function: Any) -> Fields:
    """Return names, dtypes and shapes, in the program's order."""
    return {
        "inputs": [_tensor(name, function.input_descriptor(name)) for name in function.input_names],
        "outputs": [_tensor(name, function.output_descriptor(name)) for name in function.output_names],
    }


def _tensor(name: str, found: Any) -> tuple[str, str, list[int]]:
    return name, found.dtype, [int(side) for side in found.shape]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
