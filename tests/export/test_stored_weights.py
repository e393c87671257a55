"""LoRAs added to weights in files: what the disk does not take is an error, whatever the size of a weight."""

import os
from pathlib import Path

import numpy as np
import pytest

from amused_edge.export.checkpoint.lora.lora import Layer, Lora
from amused_edge.export.stored_weights import Place, add_to_files
from amused_edge.runtime.bundle.fine_tuning import LoraEntry

PLACE = Place(("transformer", "w.weight"), "w.weight", "w.data", 64, "<f4", (16, 8), slice(None))
LAYER = Layer(np.ones((1, 16), np.float32), np.ones((8, 1), np.float32), 1.0)
LORAS = [Lora(LoraEntry("ones", "0" * 64, 1.0, (1.0,), (1,), 1), {("transformer", "w.weight"): LAYER}, False)]


def test_only_the_weight_is_changed(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(np.arange(160, dtype="<f4").tobytes())
    add_to_files([PLACE], LORAS, tmp_path)
    expected = np.arange(160, dtype=np.float32)
    expected[16:144] += 1
    assert np.array_equal(np.fromfile(tmp_path / "w.data", "<f4"), expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_is_noticed(tmp_path: Path) -> None:
    """Of a few hundred bytes, which wait in a buffer until the file is closed."""
    os.symlink("/dev/full", tmp_path / "w.data")
    with pytest.raises(OSError, match="No space left"):
        add_to_files([PLACE], LORAS, tmp_path)
