"""A Core AI program and the types that its operations compute in.

Core AI's public classes build and save programs; to find operations in a saved one takes those of MLIR below them,
which Core AI ships and does not promise to keep.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coreai import authoring  # before the dialect, which needs it
from coreai._compiler import ir
from coreai._compiler.dialects import coreai  # noqa: F401  (knows the operations that are read)

from amused_edge.runtime.engines.coreai.package import METADATA
from amused_edge.runtime.errors import first_line

FLOATS = {"f16": "float16", "f32": "float32"}
"""MLIR's names of float types -> NumPy's."""

_UNCOUNTED = frozenset({"coreai.constant", "coreai.cast", "coreai.graph", "coreai.output", "coreai.invoke"})


class Program:
    """The program of a package, in memory.

    Attributes
    ----------
    program
        As Core AI's public classes have it.
    module
        As MLIR's have it.
    """

    def __init__(self, package: Path) -> None:
        self.program = authoring.AIModelAsset.load(package).program
        self.module = self.program._module._mlir_module

    def operations(self) -> Iterator[Any]:
        """Yield the operations of all its graphs, see `operations`."""
        return operations(self.module.operation)

    def precisions(self) -> str:
        """Say in which types the program asks for its operations on floats, most first; no engine was watched."""
        counts = Counter(
            FLOATS[kind]
            for op in self.operations()
            if op.name not in _UNCOUNTED and op.results and (kind := element_name(op.results[0])) in FLOATS
        )
        asked = ", ".join(f"{count} operations in {name}" for name, count in counts.most_common())
        return f"{asked} (as the program asks)"


def save_program(program: authoring.AIProgram, package: Path) -> None:
    """Write a program as a package; of the same program the same bytes, whatever the day and the process.

    Core AI notes the date, and lists what it notes in an order that is another in each process.

    Raises
    ------
    OSError
        It cannot be written. Where the disk fails in the middle of `main.mlirb`, LLVM says so and ends the process.
    """
    try:
        program.save_asset(package).update_metadata(_forget_date)
    except RuntimeError as error:  # made of whatever failed meanwhile
        raise OSError(f"Core AI could not write {package.name}: {first_line(error.__cause__ or error)}") from error
    metadata = package / METADATA
    metadata.write_text(json.dumps(json.loads(metadata.read_text()), indent=2, sort_keys=True) + "\n")


def _forget_date(metadata: Any) -> None:
    metadata.creation_date = None


def operations(operation: Any) -> Iterator[Any]:
    """Yield the operations of all graphs below one, in their order; those that were yielded may be erased."""
    for region in operation.regions:
        for block in region.blocks:
            for view in list(block.operations):
                yield view.operation
                yield from operations(view.operation)


def graph_name(graph: Any) -> str:
    """Return the name of a graph operation."""
    return str(ir.StringAttr(graph.attributes["sym_name"]).value)


def element_name(value: Any) -> str:
    """Return MLIR's name of the type of a tensor's elements; "" of what is no tensor."""
    return str(value.type.element_type) if isinstance(value.type, ir.RankedTensorType) else ""
