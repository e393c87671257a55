"""Exports whose programs are traced once."""

from typing import Any

import pytest
from torch.export import ExportedProgram


def forbid_second_trace(patch: pytest.MonkeyPatch) -> None:
    """Have torch fail where it would trace a program again, to take it apart."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the program is traced a second time")

    patch.setattr(ExportedProgram, "run_decompositions", never)
