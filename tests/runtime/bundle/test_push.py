"""Bundles sent to the hub, whole or not at all, and drawn from there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from amused_edge.runtime import AmusedPipeline, Bundle, BundleError, GenerationOptions, HubError, OptionsError
from amused_edge.runtime.bundle.card.file import write_card
from amused_edge.runtime.bundle.card.text import card_bytes
from amused_edge.runtime.bundle.push import plan_push, push
from tests.support.hub_client import point_at
from tests.support.loopback_hub import TOKEN, LoopbackHub, Repository, loopback_hub
from tests.support.paths import ROOT

ID = "me/mine"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub() as served:
        point_at(served, tmp_path / "home", monkeypatch, token=TOKEN)
        yield served


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def head(hub: LoopbackHub, name: str = ID, branch: str = "main") -> dict[str, bytes]:
    repository = hub.repositories[name]
    return repository.commits[repository.branches[branch]]


def test_the_whole_way_and_back(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushed, fetched into an empty cache, and the picture is the same; the image encoder comes when it is needed."""
    demo = ROOT / "demo" / "bundle"
    page = push(plan_push(Bundle.open(demo), f"{ID}/w8", private=True))
    assert page.startswith(f"{hub.url}/{ID}/commit/")
    assert hub.repositories[ID].private
    point_at(hub, tmp_path / "fresh", monkeypatch, token=TOKEN)
    options, images, codes = GenerationOptions(steps=2, seed=5), [], []
    for place in (demo, f"{ID}/w8"):
        with AmusedPipeline.from_bundle(place) as pipeline:
            images.append(pipeline.generate("a fox", options).images)
            assert not any("encoder.onnx" in file and "image" in file for file in hub.fetched())
            codes.append(pipeline.encode(images[0]))
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(codes[0], codes[1])
    assert "w8/image_encoder.onnx.data" in hub.fetched()
    assert not any("golden" in file for file in hub.fetched())


def test_all_of_it_is_one_commit_and_nothing_else_goes(hub: LoopbackHub, bundle: Bundle) -> None:
    """No file beside the bundle's: a folder may hold what nobody else is to see."""
    (bundle.path / "secret.txt").write_text("mine")
    push(plan_push(bundle, ID))
    assert len(hub.repositories[ID].commits) == 2  # the first is that of an empty repository
    listed = {entry.path for entry in bundle.manifest.all_files()}
    assert set(head(hub)) == listed | {"manifest.json", "README.md", ".gitattributes"}
    assert all(head(hub)[name] == (bundle.path / name).read_bytes() for name in listed | {"manifest.json"})
    assert head(hub)["README.md"] == card_bytes(bundle.manifest, ID)


def test_an_interrupted_push_goes_on(hub: LoopbackHub, bundle: Bundle) -> None:
    """Objects that arrived are not sent again, and until all did the hub shows none."""
    hub.uploads_left = 1
    with pytest.raises(HubError, match=r"^sending to me/mine on the hub failed: .*"):
        push(plan_push(bundle, ID))
    assert set(head(hub)) == {".gitattributes"}
    (arrived,) = hub.objects
    hub.uploads_left, hub.asked = None, []
    push(plan_push(bundle, ID))
    assert "manifest.json" in head(hub)
    assert f"PUT /lfs/{arrived}" not in hub.asked
    assert "POST /api/repos/create" not in hub.asked


def test_what_is_there_is_not_sent_again(hub: LoopbackHub, bundle: Bundle) -> None:
    push(plan_push(bundle, ID))
    hub.asked.clear()
    plan = plan_push(bundle, ID)
    assert (plan.sent, plan.present) == ({}, len(head(hub)) - 1)
    assert push(plan) == f"{hub.url}/{ID}"
    assert hub.written() == []


def test_what_the_former_bundle_had_goes_and_what_others_put_there_stays(hub: LoopbackHub, bundle: Bundle) -> None:
    repository = hub.repositories[ID] = Repository()
    former = (bundle.path / "manifest.json").read_text().replace("golden.json", "older.json")
    repository.commit({"manifest.json": former.encode(), "older.json": b"{}", "picture.png": b"theirs"})
    plan = plan_push(bundle, ID)
    assert plan.removed == ("older.json",)
    push(plan)
    assert "older.json" not in head(hub)
    assert head(hub)["picture.png"] == b"theirs"


def test_a_folder_of_a_repository_has_its_own_card_and_the_top_one_too(hub: LoopbackHub, bundle: Bundle) -> None:
    push(plan_push(bundle, f"{ID}/w8"))
    assert head(hub)["w8/README.md"] == card_bytes(bundle.manifest, f"{ID}/w8")
    top = head(hub)["README.md"]
    assert b'from_bundle("me/mine/FOLDER")' in top
    assert b"license:" in top
    push(plan_push(bundle, f"{ID}/onnx/w4"))
    assert head(hub)["README.md"] == top
    assert Bundle.open(f"{ID}/onnx/w4").sha256 == bundle.sha256


def test_a_branch_is_made(hub: LoopbackHub, bundle: Bundle) -> None:
    push(plan_push(bundle, ID))
    main = head(hub)
    (bundle.path / "README.md").write_text("---\nlicense: mit\n---\nmine\n")
    push(plan_push(bundle, ID, revision="v2"))
    assert head(hub) == main
    assert head(hub, branch="v2")["README.md"].endswith(b"mine\n")
    assert Bundle.open(f"{ID}@v2").sha256 == bundle.sha256


def edit_there(hub: LoopbackHub) -> bytes:
    edited = head(hub)["README.md"] + b"\nedited on its page\n"
    hub.repositories[ID].commit({**head(hub), "README.md": edited})
    return edited


def test_a_card_that_was_edited_on_the_hub_stays(hub: LoopbackHub, bundle: Bundle) -> None:
    push(plan_push(bundle, ID))
    edited = edit_there(hub)
    write_card(bundle)  # as it is, it holds nobody's work
    plan = plan_push(bundle, ID)
    assert plan.notes == ("README.md was edited on the hub, and stays; --card bundle replaces it",)
    push(plan)
    assert head(hub)["README.md"] == edited
    push(plan_push(bundle, ID, card="bundle"))
    assert head(hub)["README.md"] == card_bytes(bundle.manifest, ID)


def test_where_both_were_edited_somebody_must_say_whose_stays(hub: LoopbackHub, bundle: Bundle) -> None:
    push(plan_push(bundle, ID))
    edited = edit_there(hub)
    (bundle.path / "README.md").write_text("mine")
    with pytest.raises(
        OptionsError, match=r"README\.md was edited here and on the hub; .*--card bundle, or --card hub"
    ):
        plan_push(bundle, ID)
    push(plan_push(bundle, ID, card="hub"))
    assert head(hub)["README.md"] == edited
    push(plan_push(bundle, ID, card="bundle"))
    assert head(hub)["README.md"] == b"mine"


def test_a_damaged_bundle_is_not_sent(hub: LoopbackHub, bundle: Bundle) -> None:
    (bundle.path / "golden.json").write_text("[]")
    with pytest.raises(BundleError, match=r"golden\.json is damaged"):
        plan_push(bundle, ID)
    assert hub.asked == []


def test_what_was_to_be_private_is_not_sent_to_a_public_one(hub: LoopbackHub, bundle: Bundle) -> None:
    hub.add(ID, bundle.path)
    with pytest.raises(OptionsError, match="me/mine is there and public; --private is for a new repository"):
        plan_push(bundle, ID, private=True)
    assert hub.written() == []


def test_nothing_is_sent_without_a_token(hub: LoopbackHub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        HubError, match=r"without a token that may write; log in with `hf auth login`, or set HF_TOKEN$"
    ):
        push(plan_push(bundle, ID))
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(HubError, match=r"sending to me/mine on the hub failed: .*hf auth login"):
        push(plan_push(bundle, ID))
    assert ID not in hub.repositories


def test_somebody_elses_commit_is_not_lost(hub: LoopbackHub, bundle: Bundle) -> None:
    hub.repositories[ID] = Repository()
    hub.repositories[ID].commit({"a.txt": b"1"})
    plan = plan_push(bundle, ID)
    hub.repositories[ID].commit({"a.txt": b"2"})
    with pytest.raises(HubError, match="somebody changed it meanwhile, or it is being changed; push again"):
        push(plan)
    assert head(hub) == {"a.txt": b"2"}


def test_a_file_that_a_gitignore_swallows_is_told(hub: LoopbackHub, bundle: Bundle) -> None:
    """The hub's library leaves it out without a word, and the bundle would be broken."""
    hub.ignored.add("denoiser.onnx.data")
    with pytest.raises(HubError, match=r"me/mine took the files but for denoiser\.onnx\.data; does its \.gitignore"):
        push(plan_push(bundle, ID))


@pytest.mark.parametrize("target", ["mine", "./me/mine", "me/mine/../other", ""])
def test_a_target_is_a_hub_id(target: str, hub: LoopbackHub, bundle: Bundle) -> None:
    with pytest.raises(OptionsError, match="is no hub id; give OWNER/NAME, or OWNER/NAME/FOLDER"):
        plan_push(bundle, target)
    with pytest.raises(OptionsError, match="names a revision, and --revision 'v2' too"):
        plan_push(bundle, f"{ID}@v1", revision="v2")
    assert hub.asked == []
