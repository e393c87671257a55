"""Hashes: what is damaged is found, and what was verified is not read again."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import AmusedEdgeWarning, BundleError

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def corrupt(file: Path) -> None:
    """Change the last byte, keep size, time stamp and inode."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_link_to_the_whole_bundle_is_fine(small_bundle: Path, tmp_path: Path) -> None:
    """It opens as the same bundle, its graphs run, and what is verified are the files behind the link."""
    link = tmp_path / "link"
    link.symlink_to(small_bundle)
    bundle = Bundle.open(link)
    verification.verify(bundle)
    assert (bundle.path, bundle.sha256) == (link, Bundle.open(small_bundle).sha256)
    graph = load_graph(Bundle.open(link), "denoiser", EngineOptions())
    assert graph({"x": np.array([10, 20])})["y"].tolist() == [11, 22]
    corrupt(small_bundle / "denoiser.onnx.data")
    with pytest.raises(BundleError, match=r"denoiser\.onnx\.data is damaged"):
        verification.verify(bundle)


@pytest.mark.parametrize("name", ["denoiser.onnx.data", "golden.json", "text_encoder.onnx"])
@pytest.mark.parametrize("check", [verification.verify, verification.verify_once])
def test_one_changed_byte_is_found(small_bundle: Path, check: Callable[[Bundle], None], name: str) -> None:
    corrupt(small_bundle / name)
    with pytest.raises(BundleError, match=f"{name} is damaged: its SHA-256 is not the manifest's"):
        check(Bundle.open(small_bundle))


def test_what_was_verified_is_remembered(small_bundle: Path) -> None:
    """A gigabyte is not read at every start, so a change that leaves size and time alone goes unseen by
    `verify_once`, and is still found by `verify`.
    """
    verification.verify_once(Bundle.open(small_bundle))
    corrupt(small_bundle / "denoiser.onnx.data")
    bundle = Bundle.open(small_bundle)
    verification.verify_once(bundle)
    with pytest.raises(BundleError, match="is damaged"):
        verification.verify(bundle)


def test_another_time_stamp_makes_it_read_again(small_bundle: Path) -> None:
    verification.verify_once(Bundle.open(small_bundle))
    file = small_bundle / "denoiser.onnx.data"
    corrupt(file)
    os.utime(file, ns=(0, 0))
    with pytest.raises(BundleError, match="is damaged"):
        verification.verify_once(Bundle.open(small_bundle))


def test_another_manifest_makes_it_read_again(small_bundle: Path, edit_manifest: EditManifest) -> None:
    verification.verify_once(Bundle.open(small_bundle))
    edit_manifest(small_bundle, lambda manifest: manifest["files"]["golden.json"].update(sha256="0" * 64))
    with pytest.raises(BundleError, match=r"golden\.json is damaged"):
        verification.verify_once(Bundle.open(small_bundle))


def test_a_failed_verification_is_not_remembered(small_bundle: Path) -> None:
    corrupt(small_bundle / "golden.json")
    for _ in range(2):
        with pytest.raises(BundleError, match="is damaged"):
            verification.verify_once(Bundle.open(small_bundle))


def test_a_cache_that_cannot_be_written_is_no_failure(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is verified again each time instead."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(AmusedEdgeWarning, match="cannot be used"):
        verification.verify_once(Bundle.open(small_bundle))
    corrupt(small_bundle / "golden.json")
    with pytest.raises(BundleError, match="is damaged"):
        verification.verify_once(Bundle.open(small_bundle))


@pytest.mark.filterwarnings("ignore:there is no home folder")
def test_verification_needs_no_home(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path.home() raises where there is neither HOME nor an entry for the user."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", staticmethod(homeless))
    verification.verify_once(Bundle.open(small_bundle))
    (small_bundle / "golden.json").write_bytes(b"x" * (small_bundle / "golden.json").stat().st_size)
    with pytest.raises(BundleError, match="is damaged"):
        verification.verify_once(Bundle.open(small_bundle))
