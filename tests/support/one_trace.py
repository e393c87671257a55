"""Exports whose programs are traced once, and what torch must trace again."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram


def forbid_second_trace(patch: pytest.MonkeyPatch) -> None:
    """Have torch fail where it would trace a program again, to take it apart."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the program is traced a second time")

    patch.setattr(ExportedProgram, "run_decompositions", never)


class InPlace(nn.Module):
    """Changes a tensor on the way, which torch must take apart itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape -> the same."""
        y = x * 2
        y.add_(x)
        return y.mul_(y)
