"""A small Core ML program, and how its package is edited."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb  # noqa: N813  as in all of its documentation

WEIGHT = np.random.default_rng(3).standard_normal((12, 40)).astype(np.float32)
BIAS = np.linspace(-1, 1, 12, dtype=np.float32)


def linear_block(x: Any) -> Any:
    return mb.add(x=mb.linear(x=x, weight=WEIGHT, bias=BIAS, name="project"), y=np.float32(0.1), name="y")


def data(package: Path) -> Path:
    return package / "Data" / "com.apple.CoreML"


def edit_model(package: Path, change: Callable[[Any], object]) -> Path:
    """Return the package after `change` of its protobuf message."""
    spec = ct.models.MLModel(str(package), skip_model_load=True).get_spec()
    change(spec)
    (data(package) / "model.mlmodel").write_bytes(spec.SerializeToString())
    return package
