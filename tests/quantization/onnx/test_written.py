"""A disk that loses what it is given: NumPy's `tofile` does not tell, and the bundle's hash would fit what is there."""

import os
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from amused_edge.runtime.bundle.read_back import check_initializers


def test_weights_that_are_not_on_the_disk_are_noticed(tmp_path: Path) -> None:
    weight = ir.Value(name="w", const_value=ir.tensor(np.arange(2000, dtype=np.float32), name="w"))
    model = ir.Model(ir.Graph([], [], nodes=[], initializers=[weight], opset_imports={"": 20}), ir_version=10)
    path = tmp_path / "m.onnx"
    ir.save(model, path, external_data="m.onnx.data", size_threshold_bytes=1024)

    def check() -> None:
        check_initializers(path, model.graph.initializers, ir.load(path).graph.initializers)

    check()
    with (tmp_path / "m.onnx.data").open("r+b") as file:
        file.seek(4000)
        file.write(b"\xff")
    with pytest.raises(OSError, match="not what was written"):
        check()
    for size in (7999, 4000, 0):  # of the rest it did not tell either, and reading that ended in a ValueError
        os.truncate(tmp_path / "m.onnx.data", size)
        with pytest.raises(OSError, match="not what was written"):
            check()
    with pytest.raises(OSError, match="not what was written"):
        check_initializers(path, model.graph.initializers, {})
