"""Bundles by their id on the hub: what is fetched and when, and what may go wrong."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

from amused_edge.runtime import Bundle, BundleError, EngineOptions, HubError
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.manifest import DRAWING_ROLES
from amused_edge.runtime.engines import load_graph
from amused_edge.runtime.hub.progress import downloads_shown_by
from tests.support.hub_client import point_at
from tests.support.loopback_hub import TOKEN, LoopbackHub, loopback_hub

ID = "owner/name"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub() as served:
        point_at(served, tmp_path / "home", monkeypatch)
        yield served


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's library waits a second before it tries again."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


def test_opening_fetches_the_manifest_and_nothing_else(hub: LoopbackHub, small_bundle: Path) -> None:
    hub.add(ID, small_bundle)
    bundle = Bundle.open(ID)
    assert bundle.manifest == Bundle.open(small_bundle).manifest
    assert bundle.sha256 == Bundle.open(small_bundle).sha256
    assert hub.fetched() == ["manifest.json"]
    assert bundle.name == "name"


@pytest.mark.parametrize("place", ["", "w8/", "onnx/w8/"])
def test_files_come_when_their_role_is_needed(hub: LoopbackHub, small_bundle: Path, place: str) -> None:
    hub.add(ID, small_bundle, place)
    bundle = Bundle.open(f"{ID}/{place}")
    graph = load_graph(bundle, "denoiser", EngineOptions())
    assert graph({"x": np.array([10, 20], np.float32)})["y"].tolist() == [11, 22]
    files = ["manifest.json", "denoiser.onnx", "denoiser.onnx.data"]
    assert hub.fetched() == [f"{place}{name}" for name in files]
    bundle.fetch_roles(DRAWING_ROLES)
    assert not any("image_encoder" in name or "golden" in name for name in hub.fetched())
    verification.verify(bundle)
    assert {file.name for file in bundle.path.iterdir()} == {file.name for file in small_bundle.iterdir()}


def test_another_process_opens_the_same_commit_and_asks_nobody(hub: LoopbackHub, small_bundle: Path) -> None:
    """A benchmark's children do, and what they measure is what their parent was asked for."""
    repository = hub.add(ID, small_bundle)
    bundle = Bundle.open(ID)
    bundle.fetch()
    (small_bundle / "manifest.json").write_text("{}")
    hub.add(ID, small_bundle)
    hub.asked.clear()
    again = Bundle.open(bundle.address)
    again.fetch()
    assert again.manifest == bundle.manifest
    assert bundle.address == f"{ID}@{next(iter(repository.commits))}"
    assert hub.asked == []


def test_all_files_are_of_the_commit_that_was_opened(hub: LoopbackHub, small_bundle: Path) -> None:
    hub.add(ID, small_bundle)
    bundle = Bundle.open(ID)
    (small_bundle / "golden.json").write_text("[]")
    hub.add(ID, small_bundle)
    assert bundle.golden.read_text() == "{}"


def test_a_folder_of_that_name_is_meant(
    hub: LoopbackHub, small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    small_bundle.rename(tmp_path / "owner" / "name")
    assert Bundle.open(ID).origin is None
    with pytest.raises(
        BundleError, match=r"owner/misspelt is not a bundle: .*, or take one from the hub: hf://owner/mis"
    ):
        Bundle.open("owner/misspelt")
    assert hub.asked == []
    hub.add(ID, tmp_path / "owner" / "name")
    assert Bundle.open(Path("hf://owner/name")).origin is not None


def test_a_lost_connection_is_gone_on_with(
    hub: LoopbackHub, small_bundle: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1)  # it keeps whole ones, of 10 MiB else
    hub.add(ID, small_bundle)
    hub.cuts["denoiser.onnx"] = 1
    bundle = Bundle.open(ID)
    told: list[tuple[str, int, int]] = []
    with downloads_shown_by(lambda *what: told.append(what)):
        bundle.fetch()
    size = (small_bundle / "denoiser.onnx").stat().st_size
    assert any(line.endswith(f"/denoiser.onnx bytes={size // 2}-") for line in hub.asked)
    assert (bundle.path / "denoiser.onnx").read_bytes() == (small_bundle / "denoiser.onnx").read_bytes()
    total = bundle.manifest.bytes
    assert [whole for _, _, whole in told] == [total] * len(told)
    assert (told[0][1], told[-1][1]) == (0, total)
    assert {f"downloading {role}.onnx" for role in bundle.manifest.graphs} <= {name for name, _, _ in told}


def test_what_arrived_before_an_interruption_is_kept(hub: LoopbackHub, small_bundle: Path, at_once: None) -> None:
    hub.add(ID, small_bundle)
    hub.cuts["conditioner.onnx"] = 100
    with pytest.raises(
        HubError, match=r"'conditioner\.onnx' of owner/name@\w+ could not be downloaded: .*cannot be rea"
    ):
        Bundle.open(ID).fetch()
    assert "text_encoder.onnx" in hub.fetched()
    hub.cuts.clear()
    hub.asked.clear()
    Bundle.open(ID).fetch()
    assert hub.fetched()[0] == "conditioner.onnx"
    assert "text_encoder.onnx" not in hub.fetched()


def test_bytes_that_changed_on_the_way_are_noticed(hub: LoopbackHub, small_bundle: Path, tmp_path: Path) -> None:
    hub.add(ID, small_bundle)
    hub.spoilt.add("denoiser.onnx.data")
    bundle = Bundle.open(ID)
    repository = tmp_path / "home" / "hub" / "models--owner--name"
    with pytest.raises(BundleError, match=rf"data is damaged.*; remove {repository} and it is downloaded again"):
        bundle.fetch()
    hub.spoilt.clear()
    for file in sorted(repository.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    Bundle.open(ID).fetch()


def test_a_repository_whose_files_do_not_belong_together_is_noticed(hub: LoopbackHub, small_bundle: Path) -> None:
    (small_bundle / "golden.json").write_text("[]")
    hub.add(ID, small_bundle)
    with pytest.raises(
        BundleError, match="so it is on the hub: manifest and file are not of the same bundle; tell its"
    ):
        Bundle.open(ID).fetch()


def test_a_file_that_the_manifest_names_and_nobody_has(hub: LoopbackHub, small_bundle: Path) -> None:
    (small_bundle / "golden.json").unlink()
    hub.add(ID, small_bundle)
    with pytest.raises(
        HubError, match=r"'golden\.json' of .* could not be downloaded: its repository has no such file"
    ):
        Bundle.open(ID).fetch()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("owner/absent", r"owner/absent is no folder here, nor could it be downloaded from the hub: .*no such model"),
        ("owner/private", r"the hub has no such model, or it is private; .*hf auth login"),
        ("owner/gated", r"its owner gives access on request; ask for it at http://127\S+/owner/gated, then log in"),
        ("owner/name@absent", r"it has no revision 'absent'; see http"),
        ("owner/name@main/w8", r"no revision 'main/w8'; .*a folder stands before the revision: owner/name/FOLDER@REV"),
        ("owner/name/w4", r"the hub's has no w4/manifest\.json; one lies at its top: owner/name$"),
        ("owner/several", r"has no manifest\.json; it has w4, w8: say owner/several/w4$"),
        ("owner/none", r"has no manifest\.json; see what it holds at http"),
    ],
)
def test_what_the_hub_does_not_give_is_told_with_the_reason(
    asked: str, words: str, hub: LoopbackHub, small_bundle: Path, tmp_path: Path
) -> None:
    hub.add(ID, small_bundle)
    hub.add("owner/private", small_bundle, private=True)
    hub.add("owner/gated", small_bundle, gated=True)
    for place in ("w4/", "w8/"):
        hub.add("owner/several", small_bundle, place)
    (tmp_path / "empty").mkdir()
    hub.add("owner/none", tmp_path / "empty")
    with pytest.raises(HubError, match=words) as refused:
        Bundle.open(asked)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_token_opens_a_private_one(hub: LoopbackHub, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(ID, small_bundle, private=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    Bundle.open(ID).fetch()


def test_offline_what_is_cached_opens_and_the_rest_is_told(
    hub: LoopbackHub, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(ID, small_bundle)
    Bundle.open(ID).fetch_roles(["denoiser"])
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    bundle = Bundle.open(ID)
    bundle.fetch_roles(["denoiser"])
    words = r"it is not wholly in the cache, and HF_HUB_OFFLINE forbids asking the hub"
    with pytest.raises(HubError, match=rf"'image_encoder\.onnx' of .*: {words}"):
        bundle.fetch_roles(["image_encoder"])
    with pytest.raises(HubError, match=rf"owner/other is no folder here, .*: {words}"):
        Bundle.open("owner/other")
    assert hub.asked == []


def test_without_a_network_what_is_cached_opens(
    hub: LoopbackHub, small_bundle: Path, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    hub.add(ID, small_bundle)
    Bundle.open(ID).fetch()
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:1/{repo_id}/{revision}/{filename}")
    Bundle.open(ID).fetch()
    with pytest.raises(HubError, match="the hub cannot be reached"):
        Bundle.open("owner/other")


def test_the_library_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match=r"^owner/name is no folder here, .*: pip install 'amused-edge\[hub\]'$"):
        Bundle.open(ID)


def test_a_manifest_that_leaves_its_folder_is_refused_before_anything_is_fetched(
    hub: LoopbackHub, small_bundle: Path
) -> None:
    manifest = json.loads((small_bundle / "manifest.json").read_text())
    manifest["files"]["golden.json"]["path"] = "../golden.json"
    (small_bundle / "manifest.json").write_text(json.dumps(manifest))
    hub.add(ID, small_bundle, "w8/")
    with pytest.raises(BundleError, match="may lie outside the bundle"):
        Bundle.open(f"{ID}/w8")
    assert hub.fetched() == ["w8/manifest.json"]


def test_two_threads_that_need_a_file_get_it(hub: LoopbackHub, small_bundle: Path) -> None:
    hub.add(ID, small_bundle)
    bundle, failed = Bundle.open(ID), []

    def fetch() -> None:
        try:
            bundle.fetch()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    verification.verify(bundle)


def test_the_client_says_nothing_of_the_machine(hub: LoopbackHub, small_bundle: Path) -> None:
    """Versions of torch and the like are telemetry, which `import amused_edge` switches off."""
    hub.add(ID, small_bundle)
    Bundle.open(ID).fetch()
    assert len(hub.agents) == 1
    known = f"hf_hub/{huggingface_hub.__version__}"
    assert all(part in (known, "unknown/None") or part.startswith("python/") for part in hub.agents.pop().split("; "))
