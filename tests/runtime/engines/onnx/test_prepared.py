"""What an engine prepared for this machine: kept, found again, bounded, and never trusted when damaged."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from amused_edge.runtime import EngineOptions, GenerationOptions
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import load_graph
from amused_edge.runtime.engines.onnx import prepared as onnx_prepared
from amused_edge.runtime.engines.onnx import session as onnx_runtime
from amused_edge.runtime.errors import AmusedEdgeWarning, OptionsError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.system import cpu, prepared_store
from amused_edge.runtime.system.prepared_store import PreparedStore, clear_prepared, prepared_entries

CACHED = EngineOptions(cache_bytes=2**30)


def maker(size: int = 10, content: bytes = b"x") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(content * size)

    return make


def refuse(*_: object) -> None:
    raise AssertionError("it was made again")


# --- The store.


def test_an_entry_is_made_once_and_found_again() -> None:
    store = PreparedStore(1000)
    assert store.find("a") is None
    folder = store.add("a", "first", maker())
    assert folder is not None
    assert (folder / "data").read_bytes() == b"x" * 10
    assert PreparedStore(1000).find("a") == folder
    (entry,) = prepared_entries()
    assert (entry.path, entry.label) == (folder, "first")
    assert entry.bytes == sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("damage", ["cut", "change", "delete", "extra", "note", "no note"])
def test_a_damaged_entry_is_not_found_and_goes(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store = PreparedStore(1000)
    folder = store.add("a", "first", maker())
    assert folder is not None
    file = folder / "data"
    if damage == "cut":
        os.truncate(file, 5)
    elif damage == "change":
        file.write_bytes(b"y" * 10)
        os.utime(file, ns=(1, 1))
    elif damage == "delete":
        file.unlink()
    elif damage == "extra":
        (folder / "more").touch()
    elif damage == "note":
        (folder / "entry.json").write_text("{")
    else:
        (folder / "entry.json").unlink()
    assert store.find("a") is None
    assert not folder.exists()
    assert "is damaged; it is made again" in caplog.text
    assert store.add("a", "second", maker()) == folder


def test_those_unused_for_longest_go_first() -> None:
    for index, key in enumerate("abc"):
        folder = PreparedStore(10**6).add(key, key, maker(200))
        assert folder is not None
        os.utime(folder / "entry.json", (index, index))
    sizes = {entry.bytes for entry in prepared_entries()}
    (size,) = sizes
    store = PreparedStore(3 * size + 1)
    assert store.find("a") is not None  # now the one used last
    assert store.add("d", "d", maker(200)) is not None
    assert [entry.path.name for entry in prepared_entries()] == ["c", "a", "d"]
    assert PreparedStore(size).add("e", "e", maker(200)) is not None
    assert [entry.path.name for entry in prepared_entries()] == ["e"]


def test_what_a_killed_process_left_is_removed_a_day_later() -> None:
    store = PreparedStore(10**6)
    folder = store.add("a", "first", maker())
    assert folder is not None
    old, new = folder.parent / ".b.0", folder.parent / ".c.0"
    for path in (old, new):
        path.mkdir()
        (path / "half").touch()
    os.utime(old, (1, 1))
    store.add("d", "second", maker())
    assert not old.exists()
    assert new.exists()
    assert len(prepared_entries()) == 2


def test_what_exceeds_the_limit_alone_is_not_kept() -> None:
    store = PreparedStore(100)
    assert store.add("a", "small", maker(100)) is not None
    assert store.add("b", "large", maker(101)) is None
    assert store.find("a") is not None
    assert store.find("b") is None
    assert all(entry.path.name != "b" for entry in prepared_entries())


def test_failures_leave_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        PreparedStore(1000).add("a", "first", fail)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_writers_at_the_same_time_end_with_one_whole_entry() -> None:
    barrier, found = threading.Barrier(8), []

    def write(index: int) -> None:
        def make(folder: Path) -> None:
            maker(100, bytes([65 + index]))(folder)
            barrier.wait(10)

        found.append(PreparedStore(10**6).add("a", "same", make))

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder,) = set(found)
    assert folder is not None
    assert len(set((folder / "data").read_bytes())) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(AmusedEdgeWarning, match="file/amused-edge cannot be used"):
        assert PreparedStore(1000).add("a", "first", maker()) is None
    assert prepared_entries() == []


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_store.cache_folder, "folder", lambda _: None)
    with pytest.warns(AmusedEdgeWarning, match="no home folder"):
        assert PreparedStore(1000).add("a", "first", maker()) is None
    assert PreparedStore(1000).find("a") is None
    assert prepared_entries() == []
    clear_prepared()


def test_clearing_removes_all() -> None:
    PreparedStore(1000).add("a", "first", maker())
    clear_prepared()
    assert prepared_entries() == []


# --- ONNX Runtime's graphs in it.


def pictures(bundle: Path, options: EngineOptions) -> ImageArray:
    with AmusedPipeline.from_bundle(bundle, options) as pipeline:
        return pipeline.generate("a fox", GenerationOptions(steps=2)).images


@pytest.mark.parametrize("recipe", [None, "w8a8"])
def test_pictures_are_the_same_and_later_starts_read_what_is_kept(
    recipe: str | None, demo_bundle: Path, quantized_demo: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = demo_bundle if recipe is None else quantized_demo(recipe)
    expected = pictures(bundle, EngineOptions())
    assert prepared_entries() == []
    assert np.array_equal(pictures(bundle, CACHED), expected)
    assert len(prepared_entries()) == 4  # all but the image encoder
    monkeypatch.setattr(onnx_prepared, "_prepare", refuse)
    assert np.array_equal(pictures(bundle, CACHED), expected)
    assert np.array_equal(pictures(bundle, EngineOptions.low_memory(cache_bytes=2**30)), expected)


def test_a_graph_that_does_not_load_is_replaced_by_the_bundles(
    demo_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Damage that sizes and time stamps do not show."""
    bundle = Bundle.open(demo_bundle)
    load_graph(bundle, "denoiser", CACHED).close()
    (entry,) = prepared_entries()
    model, note = entry.path / "model.onnx", entry.path / "entry.json"
    stat = model.stat()
    model.write_bytes(b"\xff" * stat.st_size)
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert json.loads(note.read_text())["files"]["model.onnx"] == [stat.st_size, stat.st_mtime_ns]
    graph = load_graph(bundle, "denoiser", CACHED)
    assert "does not load" in caplog.text
    assert prepared_entries() == []
    graph.close()


@pytest.mark.parametrize("change", ["bundle", "engine", "cpu", "role"])
def test_another_bundle_engine_cpu_or_role_has_an_entry_of_its_own(
    change: str, demo_bundle: Path, quantized_demo: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, role = Bundle.open(demo_bundle), "image_decoder"
    load_graph(bundle, role, CACHED).close()
    if change == "bundle":
        bundle = Bundle.open(quantized_demo("w8a8"))
    elif change == "engine":
        monkeypatch.setattr(ort, "__version__", "0.0.1")
    elif change == "cpu":
        monkeypatch.setattr(onnx_prepared, "cpu_fingerprint", lambda: "another")
    else:
        role = "text_encoder"
    load_graph(bundle, role, CACHED).close()
    assert len(prepared_entries()) == 2


def test_a_small_limit_keeps_nothing_and_draws_all_the_same(demo_bundle: Path) -> None:
    assert pictures(demo_bundle, replace(CACHED, cache_bytes=1)).shape == (1, 64, 64, 3)
    assert prepared_entries() == []


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(OptionsError, match="cache_bytes"):
        EngineOptions(cache_bytes=-1)


def test_the_fingerprint_is_the_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(text: str) -> str:
        (tmp_path / "cpuinfo").write_text(text)
        cpu.cpu_fingerprint.cache_clear()
        return cpu.cpu_fingerprint()

    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    one = fingerprint("processor : 0\nmodel name : A\nflags : avx2\ncpu MHz : 1000\n")
    assert fingerprint("processor : 1\nmodel name : A\nflags : avx2\ncpu MHz : 2000\n") == one
    assert fingerprint("processor : 0\nmodel name : A\nflags : avx2 avx512_vnni\ncpu MHz : 1000\n") != one
    cpu.cpu_fingerprint.cache_clear()


def test_what_cannot_be_prepared_is_loaded_from_the_bundle(
    demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime says of a full disk what it says of all else: an exception of its own."""

    def fail(*_: object) -> None:
        raise RuntimeError("no space left")

    expected = pictures(demo_bundle, EngineOptions())
    monkeypatch.setattr(onnx_prepared, "_prepare", fail)
    assert np.array_equal(pictures(demo_bundle, CACHED), expected)
    assert "cannot prepare denoiser" in caplog.text
    assert "no space left" in caplog.text
    assert prepared_entries() == []


def test_a_cache_that_may_only_be_read_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("read only")

    folder = PreparedStore(1000).add("a", "first", maker())
    monkeypatch.setattr(os, "utime", refused)
    assert PreparedStore(1000).find("a") == folder
    assert not caplog.text


@pytest.mark.parametrize(
    ("engine", "role", "reuse"),
    [
        (EngineOptions(), "image_decoder", True),
        (EngineOptions.low_memory(), "denoiser", True),
        (EngineOptions.low_memory(), "image_decoder", False),
    ],
)
def test_only_large_tensors_keep_to_themselves_and_only_with_little_memory(
    engine: EngineOptions, role: str, reuse: bool
) -> None:
    assert onnx_runtime.role_options(engine, role).enable_mem_reuse is reuse
