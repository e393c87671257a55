"""Conversions of one process leave out what coremltools does again after each of its passes, and after each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest


@contextmanager
def quick_coremltools() -> Iterator[None]:
    """Leave out coremltools' checks of its own consistency but those that follow its removal of dead code, of which
    there are several in every conversion: the others are half of its time. What packages compute is tested
    by running them. Do not look for what depends on compressed weights after each pass where there are none. And let
    Python collect its garbage when it will, not after each conversion.
    """
    from coremltools.converters import _converters_entry
    from coremltools.converters.mil import Block, Program

    check, propagate = Program.validate, Block._propagate_nonreplaceable_vars

    def seldom(program: Program, check_essential_scope: bool = False) -> None:
        if check_essential_scope:
            check(program, check_essential_scope=True)

    def where_compressed(block: Block) -> None:
        if any(op.op_type.startswith("constexpr_") for op in block.operations):
            propagate(block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "validate", seldom)
        patch.setattr(Block, "_propagate_nonreplaceable_vars", where_compressed)
        patch.setattr(_converters_entry, "gc", SimpleNamespace(collect=lambda: 0))
        yield
