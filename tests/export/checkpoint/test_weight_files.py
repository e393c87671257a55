"""Which of several weight files of a component is read: the one that diffusers and transformers load."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.errors import CheckpointError
from amused_edge.runtime.errors import AmusedEdgeWarning
from tests.support.files import read_json

Make = Callable[..., Path]

STEMS = {"transformer": "diffusion_pytorch_model", "vqvae": "diffusion_pytorch_model", "text_encoder": "model"}
REFERENCES: dict[str, Any] = {
    "transformer": diffusers.UVit2DModel,
    "vqvae": diffusers.VQModel,
    "text_encoder": transformers.CLIPTextModelWithProjection,
}
FULL = [f"{component}/{stem}.safetensors" for component, stem in STEMS.items()]
HALF = [f"{component}/{stem}.fp16.safetensors" for component, stem in STEMS.items()]


def scaled(files: list[Path], out: Path, factor: float) -> None:
    """Write all tensors of some files, each times a factor, into one."""
    tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
    save_file({name: tensor * factor for name, tensor in tensors.items()}, out)


def turn_into_variant(folder: Path, component: str, factor: float = 1.0) -> None:
    stem = STEMS[component]
    file = folder / component / f"{stem}.safetensors"
    scaled([file], file.with_name(f"{stem}.fp16.safetensors"), factor)
    file.unlink()


def assert_reads_what_is_loaded(checkpoint: Checkpoint, component: str, module: torch.nn.Module) -> None:
    weights, expected = getattr(checkpoint, f"_{component}"), module.state_dict()
    assert weights.shapes.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(weights.read(name), tensor), name


@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("component", STEMS)
def test_shards_beside_an_old_file(
    component: str, variant: str | None, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was taken for all three; diffusers takes the shards, and only transformers the file."""
    folder = make_checkpoint(max_shard_size="20KB", variant=variant)
    suffix = f".{variant}" if variant else ""
    shards = list((folder / component).glob("*.safetensors"))
    assert len(shards) > 1
    scaled(shards, folder / component / f"{STEMS[component]}{suffix}.safetensors", 2)
    loaded = REFERENCES[component].from_pretrained(folder / component, variant=variant)
    assert_reads_what_is_loaded(open_checkpoint(folder, variant=variant), component, loaded)


@pytest.mark.parametrize("component", ["transformer", "vqvae"])
def test_the_index_name_of_older_diffusers(
    component: str, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant's index was looked for under a name that no library wrote."""
    folder = make_checkpoint(max_shard_size="20KB", variant="fp16")
    place = folder / component
    (place / f"{STEMS[component]}.safetensors.index.fp16.json").rename(
        place / f"{STEMS[component]}.safetensors.fp16.index.json"
    )
    monkeypatch.chdir(folder)  # the reference puts the variant in a wrong place where the path has dots
    loaded = REFERENCES[component].from_pretrained(component, variant="fp16")
    assert_reads_what_is_loaded(open_checkpoint(folder, variant="fp16"), component, loaded)


def test_a_tensor_in_two_shards(make_checkpoint: Make) -> None:
    """What an older save left in another shard: the last one counts, as in the reference."""
    folder = make_checkpoint(max_shard_size="20KB")
    first, *_, last = sorted((folder / "vqvae").glob("*.safetensors"))
    tensors = load_file(last)
    save_file({**load_file(first), **{name: tensor + 1 for name, tensor in tensors.items()}}, first)
    loaded = diffusers.VQModel.from_pretrained(folder / "vqvae")
    assert_reads_what_is_loaded(open_checkpoint(folder), "vqvae", loaded)


@pytest.mark.parametrize("halves", [["transformer"], ["text_encoder"], ["vqvae", "text_encoder"]], ids="-".join)
def test_a_variant_of_some_networks_only(halves: list[str], make_checkpoint: Make) -> None:
    """`--variant fp16` refused a folder with a full file in one network, which the reference loads."""
    folder = make_checkpoint()
    for component in halves:
        turn_into_variant(folder, component, 2)
    pipeline = diffusers.AmusedPipeline.from_pretrained(folder, variant="fp16")
    lacking = ", ".join(component for component in STEMS if component not in halves)
    with pytest.warns(AmusedEdgeWarning, match=f"no fp16 weights in {lacking}: the full weights are read there"):
        checkpoint = open_checkpoint(folder, variant="fp16")
    for component in STEMS:
        assert_reads_what_is_loaded(checkpoint, component, getattr(pipeline, component))


@pytest.mark.parametrize("variant", ["fp16", None])
def test_full_files_beside_halves_of_one_network(variant: str | None, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    file = folder / "vqvae" / "diffusion_pytorch_model.safetensors"
    scaled([file], file.with_name("diffusion_pytorch_model.fp16.safetensors"), 2)
    pipeline = diffusers.AmusedPipeline.from_pretrained(folder, variant=variant)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AmusedEdgeWarning)
        checkpoint = open_checkpoint(folder, variant=variant)
    for component in STEMS:
        assert_reads_what_is_loaded(checkpoint, component, getattr(pipeline, component))


def test_a_variant_that_no_network_has(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    with pytest.raises(ValueError, match="no such modeling files are available"):
        diffusers.AmusedPipeline.from_pretrained(folder, variant="fp16")
    with pytest.raises(
        CheckpointError, match="no fp16 weights in transformer, vqvae, text_encoder; leave out the variant"
    ):
        open_checkpoint(folder, variant="fp16")


@pytest.mark.parametrize(
    ("pickle", "kept", "variant", "way_out"),
    [
        ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors", None, "choose --variant fp16"),
        (
            "diffusion_pytorch_model.fp16.bin",
            "diffusion_pytorch_model.safetensors",
            "fp16",
            "leave out --variant fp16",
        ),
    ],
)
def test_pickles_that_the_reference_would_load(
    pickle: str, kept: str, variant: str | None, way_out: str, make_checkpoint: Make
) -> None:
    """Other weights were read in silence where those asked for are pickled."""
    folder = make_checkpoint()
    place = folder / "vqvae"
    file = place / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    file.unlink()
    torch.save({name: tensor * 2 for name, tensor in tensors.items()}, place / pickle)
    save_file(tensors, place / kept, {"format": "pt"})
    loaded = diffusers.VQModel.from_pretrained(place, variant=variant)
    name, tensor = next(iter(tensors.items()))
    assert torch.equal(loaded.state_dict()[name], tensor * 2)
    for component in ("transformer", "text_encoder"):
        if variant:
            turn_into_variant(folder, component)
    with pytest.raises(CheckpointError, match=rf"pickled \({pickle}\).*; {way_out}, or save them as safetensors"):
        open_checkpoint(folder, variant=variant).check()


def test_a_config_that_names_another_file(make_checkpoint: Make) -> None:
    """transformers loads the file that its config names; the usual one was read."""
    folder = make_checkpoint()
    place = folder / "text_encoder"
    scaled([place / "model.safetensors"], place / "tuned.safetensors", 2)
    config = {**read_json(place / "config.json"), "transformers_weights": "tuned.safetensors"}
    (place / "config.json").write_text(json.dumps(config))
    loaded = transformers.CLIPTextModelWithProjection.from_pretrained(place).state_dict()
    assert torch.equal(
        loaded["text_projection.weight"], load_file(place / "tuned.safetensors")["text_projection.weight"]
    )
    with pytest.raises(CheckpointError, match=r"transformers_weights is 'tuned\.safetensors'.*model\.safetensors"):
        open_checkpoint(folder).check()


UNWANTED = [
    "vqvae/diffusion_pytorch_model.bin",
    "text_encoder/pytorch_model.bin",
    "text_encoder/pytorch_model.fp16.bin",
    "training/optimizer.pt",
    "assets/picture.png",
    "transformer/evil.py",
    "evil.py",
]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """A repository with a checkpoint's files and others; `download` makes a snapshot as the library does."""

    def __init__(self, checkpoint: Path, weights: list[str], snapshots: Path) -> None:
        self._checkpoint, self._snapshot = checkpoint, snapshots / COMMIT
        own = [path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()]
        self.files = [*(name for name in own if not name.endswith(".safetensors")), *weights, *UNWANTED, "README.md"]
        self.downloaded: set[str] = set()

    def download(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        allow_patterns: list[str],
        ignore_patterns: list[str] | None = None,
    ) -> str:
        assert (repo_id, revision or COMMIT) == ("amused/amused-256", COMMIT)
        for name in filter_repo_objects(self.files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            self.downloaded.add(name)
            source, target = self._checkpoint / name, self._snapshot / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes() if source.is_file() else b"")
        return str(self._snapshot)


@pytest.mark.parametrize(
    ("weights", "variant"),
    [
        ([*FULL, *HALF], None),
        ([*FULL, *HALF], "fp16"),
        ([HALF[0], *FULL[1:]], "fp16"),
        ([*FULL, HALF[2]], "fp16"),
    ],
)
def test_a_hub_id_is_downloaded_without_pickles(
    weights: list[str], variant: str | None, make_checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a variant that some networks have, the full weights of the others were not downloaded."""
    from diffusers.pipelines.pipeline_loading_utils import variant_compatible_siblings

    hub = FakeHub(make_checkpoint(), weights, tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.download)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AmusedEdgeWarning)
        checkpoint = open_checkpoint("amused/amused-256", variant=variant)
    assert checkpoint.source == "amused/amused-256"
    assert checkpoint.folder == tmp_path / COMMIT
    expected, _ = variant_compatible_siblings(set(hub.files), variant=variant, ignore_patterns=["*.bin", "*.pt"])
    assert {name for name in hub.downloaded if name.endswith(".safetensors")} == set(expected)
    assert not hub.downloaded & set(UNWANTED)
    assert "README.md" in hub.downloaded
