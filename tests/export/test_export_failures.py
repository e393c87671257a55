"""An export that fails, is interrupted or killed leaves nothing that looks like a bundle."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest

from amused_edge.export import bundle_export
from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.export.errors import ParityError
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError, OptionsError
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.paths import ROOT
from tests.support.tiny_export import TinyExport

TEXT_ENCODER = "exporting text_encoder"


class Watcher:
    """Calls `act` when the first graph begins, and notes what lies in the output's folder then."""

    def __init__(self, folder: Path, act: Callable[[], None] = lambda: None) -> None:
        self._folder, self._act = folder, act
        self.seen: list[str] = []

    def __call__(self, description: str, index: int, total: int) -> None:
        if description == TEXT_ENCODER:
            self.seen = [path.name for path in self._folder.iterdir()]
            self._act()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    return folder


def assert_was_busy_and_left_nothing(place: Path, watcher: Watcher) -> None:
    assert [name.startswith(".out.partial-") for name in watcher.seen] == [True]
    assert list(place.iterdir()) == []


class NotANumber:
    """A graph of an engine that computes nonsense."""

    def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, Any]:
        return {"hidden_states": np.full((2, 77, 24), np.nan), "pooled": np.full((2, 16), np.nan)}

    def close(self) -> None:
        pass


def test_a_parity_failure(make_checkpoint: Callable[..., Path], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_export, "load_graph", lambda bundle, role, options: NotANumber())
    watcher = Watcher(place)
    with pytest.raises(ParityError, match="text_encoder: hidden_states differs"):
        export_bundle(make_checkpoint(), place / "out", on_stage=watcher)
    assert_was_busy_and_left_nothing(place, watcher)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_exception_of_the_callback(
    kind: type[BaseException], make_checkpoint: Callable[..., Path], place: Path
) -> None:
    def stop() -> None:
        raise kind

    watcher = Watcher(place, stop)
    with pytest.raises(kind):
        export_bundle(make_checkpoint(), place / "out", on_stage=watcher)
    assert_was_busy_and_left_nothing(place, watcher)


def test_a_full_disk(make_checkpoint: Callable[..., Path], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(model: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"half a gra")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(onnx_ir, "save", save)
    watcher = Watcher(place)
    with pytest.raises(BundleError, match=r"the disk is full: cannot write .*/out; nothing was kept"):
        export_bundle(make_checkpoint(), place / "out", on_stage=watcher)
    assert_was_busy_and_left_nothing(place, watcher)


def test_an_output_that_appears_meanwhile_is_kept(make_checkpoint: Callable[..., Path], place: Path) -> None:
    """Whoever else writes to the same place first wins; the writer's own check comes after the work."""
    from amused_edge.runtime.bundle.writer import new_bundle
    from amused_edge.runtime.errors import OutputExistsError

    with pytest.raises(OutputExistsError), new_bundle(place / "out") as writer:  # noqa: PT012
        writer.write_text("manifest.json", "{}")
        writer.manifest = Bundle.open(ROOT / "demo" / "bundle").manifest
        (place / "out").mkdir()
    assert [path.name for path in place.iterdir()] == ["out"]


def test_a_killed_export_leaves_no_bundle(tiny_export: TinyExport) -> None:
    assert tiny_export.killed_with == -signal.SIGKILL
    assert [name.startswith(".tiny.partial-") for name in tiny_export.left_by_killed] == [True]


def test_the_next_export_removes_what_a_killed_one_left(tiny_export: TinyExport) -> None:
    assert tiny_export.left_at_last == ["tiny"]


def test_a_terminated_command_leaves_nothing(make_checkpoint: Callable[..., Path], place: Path) -> None:
    program = Path(sys.executable).with_name("amused-edge")
    command = [str(program), "export", str(make_checkpoint()), str(place / "out"), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not any(place.glob(".out.partial-*/tokenizer.json")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in err
    assert out == b""
    assert list(place.iterdir()) == []


def test_a_bundle_cannot_turn_on_what_other_runtimes_do_not_know() -> None:
    with pytest.raises(OptionsError, match=r"entropy_bound 2\.0 is chosen for each picture"):
        ExportOptions(sampler=GenerationOptions(entropy_bound=2.0))
    with pytest.raises(OptionsError, match="order moment is chosen for each picture"):
        ExportOptions(sampler=GenerationOptions(order="moment"))
