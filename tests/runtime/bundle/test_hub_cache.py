"""A bundle as huggingface_hub keeps it: every file is a link, which may lead to blobs of its own repository only."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from huggingface_hub import scan_cache_dir, snapshot_download

from amused_edge.runtime import EngineOptions, GenerationOptions, golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import load_graph
from amused_edge.runtime.errors import BundleError, GraphError
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.system.prepared_store import prepared_entries
from tests.support.hub import REVISION, hub_snapshot

LEAVES = r"is a link that leaves the bundle; do not use this bundle, or.*`cp -rL`.*local_dir"


@pytest.fixture
def linked(small_bundle: Path, tmp_path: Path) -> Path:
    return hub_snapshot(small_bundle, tmp_path / "hub")


def blob(link: Path) -> Path:
    return link.resolve()


def relink(link: Path, target: str | Path) -> None:
    link.unlink()
    link.symlink_to(target)


def same_size(file: Path) -> bytes:
    """Other bytes than a file's, as many."""
    return bytes(byte ^ 1 for byte in file.read_bytes())


def test_the_layout_is_the_hubs(linked: Path, tmp_path: Path) -> None:
    """What the tests make is what huggingface_hub finds."""
    report = scan_cache_dir(tmp_path / "hub")
    assert not report.warnings
    (repository,) = report.repos
    (revision,) = repository.revisions
    assert (repository.repo_id, revision.commit_hash) == ("owner/name", REVISION)
    found = snapshot_download("owner/name", revision=REVISION, cache_dir=tmp_path / "hub", local_files_only=True)
    assert Path(found) == linked


@pytest.mark.parametrize("place", ["", "w8", "bundles/w8"])
def test_links_within_the_repository_are_followed(small_bundle: Path, tmp_path: Path, place: str) -> None:
    """They were refused as hostile, though `snapshot_download` makes nothing else."""
    root = hub_snapshot(small_bundle, tmp_path / "hub", place)
    (tmp_path / "short").symlink_to(root)
    for path in (root, tmp_path / "short"):
        bundle = Bundle.open(path)
        verification.verify(bundle)
        graph = load_graph(bundle, "denoiser", EngineOptions())
        assert graph({"x": np.array([10, 20], np.float32)})["y"].tolist() == [11, 22]
        assert bundle.sha256 == Bundle.open(small_bundle).sha256


def test_copies_in_place_of_links_work_as_everywhere(linked: Path) -> None:
    """As huggingface_hub makes them where there are no links."""
    for link in list(linked.iterdir()):
        content = link.read_bytes()
        link.unlink()
        link.write_bytes(content)
    bundle = Bundle.open(linked)
    assert not bundle.links
    verification.verify(bundle)


def elsewhere(linked: Path, way: str, content: bytes) -> Path:
    """Put a file somewhere and return how a link in the snapshot may name it."""
    repository = linked.parent.parent
    places = {
        "another repository": repository.parent / "models--owner--other" / "blobs" / "file",
        "outside": repository.parent / "file",
        "not a blob": repository / "refs" / "file",
        "below the blobs": repository / "blobs" / "deep" / "file",
        "a linked blob": repository.parent / "file",
    }
    places[way].parent.mkdir(parents=True, exist_ok=True)
    places[way].write_bytes(content)
    if way != "a linked blob":
        return Path(os.path.relpath(places[way], linked))
    (repository / "blobs" / "link").symlink_to(places[way])
    return Path("../../blobs/link")


@pytest.mark.parametrize("name", ["golden.json", "manifest.json"])
@pytest.mark.parametrize("way", ["another repository", "outside", "not a blob", "below the blobs", "a linked blob"])
def test_all_other_links_are_refused_with_a_way_out(linked: Path, way: str, name: str) -> None:
    relink(linked / name, elsewhere(linked, way, (linked / name).read_bytes()))
    with pytest.raises(BundleError, match=rf"{name} {LEAVES}"):
        Bundle.open(linked)


@pytest.mark.parametrize("name", ["models", "models-owner--name", "owner--name"])
def test_a_folder_that_only_looks_like_the_hubs_is_none(linked: Path, name: str) -> None:
    moved = linked.parents[1].rename(linked.parents[2] / name)
    with pytest.raises(BundleError, match=LEAVES):
        Bundle.open(moved / "snapshots" / REVISION)


def test_a_link_of_a_plain_bundle_may_not_lead_into_the_hubs_cache(small_bundle: Path, linked: Path) -> None:
    relink(small_bundle / "golden.json", blob(linked / "golden.json"))
    with pytest.raises(BundleError, match=LEAVES):
        Bundle.open(small_bundle)


def in_the_common_store(link: Path, name: str, *, below: str | None = None) -> Path:
    """Move a link's blob to where the hub's library keeps what Xet brought, and put a link in its place."""
    moved = blob(link)
    stored = moved.parents[2] / "blobs" / (name[:2] if below is None else below) / name
    stored.parent.mkdir(parents=True, exist_ok=True)
    moved.rename(stored)
    moved.symlink_to(os.path.relpath(stored, moved.parent))
    return stored


def test_files_in_the_caches_common_store_are_read(linked: Path) -> None:
    """Version 2 of the hub's library keeps there whatever comes by Xet, and all of it was refused as hostile."""
    for number, link in enumerate(sorted(linked.iterdir())):
        if not (link.parent / link.readlink()).is_symlink():  # two files have the same content
            in_the_common_store(link, f"{number:064x}")
    bundle = Bundle.open(linked)
    verification.verify(bundle)
    assert load_graph(bundle, "denoiser", EngineOptions())({"x": np.zeros(2, np.float32)})["y"].tolist() == [1, 2]
    stored = blob(linked / "denoiser.onnx.data")
    stored.write_bytes(same_size(stored))
    with pytest.raises(BundleError, match=r"denoiser\.onnx\.data is damaged: .* and it is downloaded again"):
        verification.verify(Bundle.open(linked))


@pytest.mark.parametrize(
    ("name", "below"), [("ab" * 32, "cd"), ("short", None), ("ab" * 32, "../secrets"), ("AB" * 32, None)]
)
def test_no_other_place_is_that_store(linked: Path, name: str, below: str | None) -> None:
    in_the_common_store(linked / "golden.json", name, below=below)
    with pytest.raises(BundleError, match=LEAVES):
        Bundle.open(linked)


def test_the_store_may_not_lead_further(linked: Path, tmp_path: Path) -> None:
    stored = in_the_common_store(linked / "golden.json", "ab" * 32)
    stored.rename(tmp_path / "secret")
    stored.symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match=LEAVES):
        Bundle.open(linked)


def test_size_and_hash_are_those_of_the_manifest(linked: Path) -> None:
    file = blob(linked / "denoiser.onnx.data")
    content = file.read_bytes()
    file.write_bytes(same_size(file))
    with pytest.raises(BundleError, match=r"denoiser\.onnx\.data is damaged"):
        verification.verify(Bundle.open(linked))
    file.write_bytes(content[:-1])
    with pytest.raises(BundleError, match="truncated or changed"):
        Bundle.open(linked)
    file.unlink()
    with pytest.raises(BundleError, match=r"lacks the file denoiser\.onnx\.data"):
        Bundle.open(linked)


def test_hashes_are_checked_also_where_nobody_asks(demo_bundle: Path, tmp_path: Path) -> None:
    linked = hub_snapshot(demo_bundle, tmp_path / "hub")
    file = blob(linked / "denoiser.onnx.data")
    file.write_bytes(same_size(file))
    for open_pipeline in (
        lambda: AmusedPipeline.from_bundle(linked, verify=False),
        lambda: AmusedPipeline(Bundle.open(linked), EngineOptions()),
    ):
        with pytest.raises(BundleError, match=r"denoiser\.onnx\.data is damaged"):
            open_pipeline()


@pytest.mark.parametrize(
    "use", [verification.verify, lambda bundle: load_graph(bundle, "denoiser", EngineOptions())], ids=["verify", "load"]
)
@pytest.mark.parametrize("name", ["denoiser.onnx", "denoiser.onnx.data"])
def test_a_link_that_leads_elsewhere_after_opening_is_noticed(
    linked: Path, tmp_path: Path, name: str, use: Callable[[Bundle], Any]
) -> None:
    bundle = Bundle.open(linked)
    shutil.copyfile(linked / name, tmp_path / "copy")
    relink(linked / name, tmp_path / "copy")
    with pytest.raises(BundleError if use is verification.verify else (BundleError, GraphError)) as refused:
        use(bundle)
    assert "was changed while it was in use" in str(refused.value) or "its files are links" in str(refused.value)


def test_a_file_that_is_exchanged_while_the_engine_reads_is_noticed(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ort.InferenceSession
    file = blob(linked / "denoiser.onnx.data")

    def exchanging(*arguments: Any, **options: Any) -> Any:
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
        return session(*arguments, **options)

    monkeypatch.setattr(ort, "InferenceSession", exchanging)
    with pytest.raises(BundleError, match=r"denoiser\.onnx\.data was changed while it was in use"):
        load_graph(Bundle.open(linked), "denoiser", EngineOptions())


def test_an_engine_that_refuses_links_leaves_a_way_out(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime 1.24.1 does."""

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError('External data path: "denoiser.onnx.data" escapes model directory')

    monkeypatch.setattr(ort, "InferenceSession", refuse)
    with pytest.raises(GraphError, match=r"escapes model directory; its files are links: another onnxruntime.*cp -rL"):
        load_graph(Bundle.open(linked), "denoiser", EngineOptions())


@pytest.mark.parametrize("engine", [EngineOptions(), EngineOptions.low_memory(), EngineOptions(cache_bytes=2**30)])
def test_pictures_are_those_of_the_plain_bundle(demo_bundle: Path, tmp_path: Path, engine: EngineOptions) -> None:
    linked = hub_snapshot(demo_bundle, tmp_path / "hub", "fp32")
    images = []
    for path in (demo_bundle, linked, linked):
        with AmusedPipeline.from_bundle(path, engine) as pipeline:
            images.append(pipeline.generate("a fox", GenerationOptions(steps=2)).images)
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])
    assert bool(prepared_entries()) == bool(engine.cache_bytes)


def test_core_ml_packages_are_read_through_links(tiny_coreml: Path, tmp_path: Path) -> None:
    linked = hub_snapshot(tiny_coreml, tmp_path / "hub")
    assert (linked / "denoiser.mlpackage" / "Manifest.json").is_symlink()
    bundle = Bundle.open(linked)
    verification.verify(bundle)
    with AmusedPipeline(bundle, EngineOptions(simulate="half")) as pipeline:
        report = golden_check.compare(pipeline)
    assert report.reproduced
    assert report.equal_tokens == 1


def test_core_mls_compiler_is_given_a_copy(tiny_coreml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from amused_edge.runtime.engines.coreml import mac as coreml

    given: list[list[bool]] = []

    def compile_model(source: str, target: str) -> None:
        given.append([path.is_symlink() for path in Path(source).rglob("*") if path.is_file()])
        Path(target).mkdir()

    monkeypatch.setattr(coreml.ct.models.utils, "compile_model", compile_model)
    for bundle in (tiny_coreml, hub_snapshot(tiny_coreml, tmp_path / "hub")):
        coreml._compiled(Bundle.open(bundle), "denoiser", tmp_path)
    assert given[0] == given[1] == [False] * 3
