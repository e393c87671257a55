"""The model card: its head as the hub's own library reads it, its figures, and that no edit of a person is lost."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from amused_edge.runtime import Bundle, BundleError, OutputExistsError
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.card.file import read_card, write_card
from amused_edge.runtime.bundle.card.text import card_bytes, card_text, is_untouched, root_card_bytes
from amused_edge.runtime.bundle.manifest import Manifest
from tests.support.hub import hub_snapshot
from tests.support.paths import ROOT

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]
LORA = {"sha256": "ab" * 32, "weight": 1.0, "scales": [1.0], "ranks": [4], "layers": 7}


@pytest.fixture
def manifest(small_bundle: Path, edit_manifest: EditManifest) -> Callable[..., Manifest]:
    """Return `manifest(source=..., license=..., **fields)`: the small bundle's with other values."""

    def make(source: str = "owner/base", license: str = "apache-2.0", **fields: Any) -> Manifest:
        def change(content: dict[str, Any]) -> None:
            content["model"] |= {"source": source, "license": license}
            content |= fields

        edit_manifest(small_bundle, change)
        return Bundle.open(small_bundle).manifest

    return make


def head(manifest: Manifest) -> dict[str, Any]:
    """A card's head, read by YAML alone and by the hub's library; they agree."""
    text = card_text(manifest)
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    card = ModelCard(text, ignore_metadata_errors=False)
    assert card.data.to_dict() == found
    return found


def words(manifest: Manifest) -> str:
    """A card's text as it is read: in one line, without the marks that keep Markdown from reading it otherwise."""
    return re.sub(r"\\(.)", r"\1", " ".join(card_text(manifest).split()))


def tuned(*names: str) -> dict[str, Any]:
    return {"transformer": None, "loras": [{**LORA, "name": name} for name in names], "parent": None}


def test_the_head_of_an_exported_bundle(manifest: Callable[..., Manifest]) -> None:
    assert head(manifest()) == {
        "license": "apache-2.0",
        "base_model": "owner/base",
        "library_name": "amused-edge",
        "pipeline_tag": "text-to-image",
        "tags": ["amused", "masked-image-modeling", "on-device", "onnx"],
    }


def test_a_quantized_one_says_so(quantized_bundle: Path, manifest: Callable[..., Manifest]) -> None:
    found = head(manifest())
    assert found["base_model_relation"] == "quantized"
    assert found["tags"][-1] == "mixed"


@pytest.mark.parametrize(
    ("loras", "bases", "relation"),
    [
        (["owner/style"], ["owner/base", "owner/style"], "merge"),
        (["style.safetensors"], "owner/base", "finetune"),
        (["owner/style@v1", "other.safetensors"], ["owner/base", "owner/style"], "merge"),
    ],
)
def test_a_fine_tune_is_one_also_when_it_is_quantized(
    loras: list[str], bases: Any, relation: str, quantized_bundle: Path, manifest: Callable[..., Manifest]
) -> None:
    made = manifest(fine_tuning=tuned(*loras))
    found = head(made)
    assert (found["base_model"], found["base_model_relation"]) == (bases, relation)
    assert "lora" in found["tags"]
    assert all(name in words(made) for name in loras)
    assert "Licences of fine-tunes are not recorded" in words(made)


@pytest.mark.parametrize("source", ["checkpoint", "owner", "a/b/c", "../base", "owner/base model"])
def test_no_base_model_is_made_up(source: str, manifest: Callable[..., Manifest]) -> None:
    """A folder's name is no model of the hub."""
    assert "base_model" not in head(manifest(source=source))


@pytest.mark.parametrize(
    ("licence", "expected", "said"),
    [
        ("unknown", {"license": "unknown"}, "The checkpoint does not say under which licence its weights are."),
        ("openrail++", {"license": "openrail++"}, "as the checkpoint's card says: `openrail++`."),
        ("no", {"license": "no"}, "`no`"),
        ("My Own, v2: free", {"license": "other", "license_name": "My Own, v2: free"}, "card says: My Own, v2: free."),
        ("['mit', 'gpl']", {"license": "other", "license_name": "['mit', 'gpl']"}, "card says: ['mit', 'gpl']."),
    ],
)
def test_the_licence_is_the_checkpoints_or_told_as_unknown(
    licence: str, expected: dict[str, str], said: str, manifest: Callable[..., Manifest]
) -> None:
    made = manifest(license=licence)
    assert {name: value for name, value in head(made).items() if name.startswith("license")} == expected
    assert said in words(made)


NASTY = 'x"\n---\n# <script>alert(1)</script> | `a` @all [b](http://c) \u202e \ud83d é 狐'


def test_whatever_a_name_holds_it_stays_a_name(manifest: Callable[..., Manifest]) -> None:
    """Names come from checkpoints, and a card is shown on a page."""
    made = manifest(
        source=NASTY,
        license=NASTY,
        model={"name": NASTY, "source": NASTY, "license": NASTY},
        fine_tuning=tuned(NASTY),
        tools={"amused-edge": NASTY},
    )
    assert head(made)["license"] == "other"
    text = card_bytes(made).decode()
    assert text.count("\n---\n") == 1
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.split("---\n")[2].split("\n")[1]]
    prose = text.split("---\n")[2]
    assert prose.count("script") >= 8
    assert not re.search(r"(?<!\\)(</?script|@all|\[b\]|`a|# <)", prose)
    assert is_untouched(text)


def test_the_figures_are_the_manifests(quantized_bundle: Path) -> None:
    manifest = Bundle.open(quantized_bundle).manifest
    text = card_text(manifest)
    for figure in ("1.0e-07 nats", "99.00%", "100.00%", "1.0e-06 of", "51.5 dB, SSIM 0.9900", "95.00%"):
        assert figure in text, figure
    assert f"| `denoiser` | every step | {manifest.graphs['denoiser'].bytes / 1e6:.1f} |" in text
    assert "1 x 1 pixels" in text


@pytest.mark.parametrize(("temperature", "shown"), [(2.0, "temperature 2,"), ([2.0, 0.5], "temperature 2 to 0.5,")])
def test_a_temperature_is_one_number_or_two(
    temperature: Any, shown: str, small_bundle: Path, edit_manifest: EditManifest
) -> None:
    edit_manifest(small_bundle, lambda content: content["sampler"].update(temperature=temperature))
    assert shown in card_text(Bundle.open(small_bundle).manifest)


def test_what_was_only_simulated_is_told_as_that(simulated_bundle: Path, quantized_bundle: Path) -> None:
    """The fixtures are one folder: simulated first, then quantized beside it."""
    text = card_text(Bundle.open(simulated_bundle).manifest)
    assert "**Simulated, not measured:**" in text
    assert "an abacus" in text


def test_nothing_is_said_where_nothing_was_measured(manifest: Callable[..., Manifest]) -> None:
    text = card_text(manifest(parity=None, fine_tuning={**tuned("owner/style"), "parent": "cd" * 32}))
    assert "Nothing was measured of it when it was made." in text
    assert "what that changed was not measured" in text
    assert "nats" not in text


@pytest.mark.parametrize(
    ("target", "there", "absent"),
    [("onnx", ["openUrl", "OrtEngine"], ["simulate"]), ("coreml", ['simulate="half"', "MLModel"], ["openUrl"]),
     ("coreai", ["iOS 27", "[coreai,hub]"], ["openUrl", "MLModel"])],
)  # fmt: skip
def test_usage_is_that_of_the_target(
    target: str, there: list[str], absent: list[str], manifest: Callable[..., Manifest]
) -> None:
    text = card_text(manifest(target=target), "me/mine/w8")
    assert 'AmusedPipeline.from_bundle("me/mine/w8"' in text
    assert all(word in text for word in there)
    assert not any(word in text for word in absent)
    for listing in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(listing, "card", "exec")


def test_the_card_is_not_the_bundles(small_bundle: Path) -> None:
    """People may edit it: neither hashes nor identity know it."""
    before = Bundle.open(small_bundle)
    write_card(before)
    (small_bundle / "README.md").write_text("mine")
    after = Bundle.open(small_bundle)
    verification.verify(after)
    assert (after.sha256, after.manifest) == (before.sha256, before.manifest)


def test_an_edited_card_stays_and_an_old_one_does_not(small_bundle: Path, edit_manifest: EditManifest) -> None:
    bundle = Bundle.open(small_bundle)
    path = write_card(bundle)
    assert path.read_bytes() == card_bytes(bundle.manifest)
    edit_manifest(small_bundle, lambda content: content["model"].update(license="mit"))
    bundle = Bundle.open(small_bundle)
    assert "license: mit" in write_card(bundle).read_text()
    edits: list[Callable[[bytes], bytes]] = [
        lambda text: text + b"\nmore\n",
        lambda text: text.replace(b"# small", b"# My small"),
        lambda text: text.replace(b"\n\n", b"\n\r", 1),  # no line end that a version control makes
        lambda _: b"mine",
    ]
    for edit in edits:
        edited = edit(path.read_bytes())
        path.write_bytes(edited)
        with pytest.raises(OutputExistsError, match=r"README\.md was edited; .*--force"):
            write_card(bundle)
        assert path.read_bytes() == edited
        write_card(bundle, force=True)
        assert path.read_bytes() == card_bytes(bundle.manifest)


@pytest.mark.parametrize("change", [str.strip, lambda text: text.replace("\n", "\r\n")], ids=["end", "line ends"])
def test_what_a_version_control_does_to_a_text_is_no_edit(change: Callable[[str], str], small_bundle: Path) -> None:
    assert is_untouched(change(card_text(Bundle.open(small_bundle).manifest)))


def test_no_card_is_written_into_the_hubs_cache(small_bundle: Path, tmp_path: Path) -> None:
    write_card(Bundle.open(small_bundle))
    linked = Bundle.open(hub_snapshot(small_bundle, tmp_path / "hub"))
    before = read_card(linked)
    with pytest.raises(BundleError, match="lies in the hub's cache"):
        write_card(linked, force=True)
    assert read_card(linked) == before


def test_a_card_that_is_no_text_is_told(small_bundle: Path) -> None:
    (small_bundle / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleError, match=r"cannot read .*README\.md"):
        write_card(Bundle.open(small_bundle))


def test_the_card_at_the_top_names_no_bundle(manifest: Callable[..., Manifest]) -> None:
    text = root_card_bytes(manifest(), "me/mine").decode()
    assert ModelCard(text).data.to_dict()["base_model"] == "owner/base"
    assert 'from_bundle("me/mine/FOLDER")' in text
    assert is_untouched(text)


@pytest.mark.parametrize("of", ["demo_bundle", "kept", "w8"])
def test_bundles_come_with_their_card(of: str, request: pytest.FixtureRequest) -> None:
    """Made by export and by quantize; the one in the repository is what its manifest gives today."""
    folder = ROOT / "demo" / "bundle"
    if of != "kept":
        made = request.getfixturevalue("demo_bundle" if of == "demo_bundle" else "quantized_demo")
        folder = made if of == "demo_bundle" else made("w8")
    bundle = Bundle.open(folder)
    assert (folder / "README.md").read_bytes() == card_bytes(bundle.manifest)
    assert "license: apache-2.0" in card_text(bundle.manifest)
    assert json.loads((folder / "manifest.json").read_text())["model"]["source"] == "checkpoint"
