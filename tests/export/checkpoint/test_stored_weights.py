"""Weights as they come: variants, shards, pickles, damage."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from amused_edge.export.checkpoint import safetensors_folder
from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.errors import CheckpointError

Make = Callable[..., Path]
Edit = Callable[[dict[str, Any]], None]


PARTS = {"transformer": "diffusion_pytorch_model", "vqvae": "diffusion_pytorch_model", "text_encoder": "model"}


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Every tensor of every component as the modules get it."""
    checkpoint.check()
    found = {}
    for component in PARTS:
        folder = getattr(checkpoint, f"_{component}")
        found |= {f"{component}.{name}": folder.read(name) for name in folder.shapes}
    return found


def assert_equal_weights(one: Checkpoint, other: Checkpoint) -> None:
    first, second = weights(one), weights(other)
    assert len(first) > 100
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def weight_file(folder: Path, component: str) -> Path:
    return folder / component / f"{PARTS[component]}.safetensors"


def edit_weights(folder: Path, component: str, edit: Edit) -> None:
    file = weight_file(folder, component)
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)


def refused(folder: Path, match: str, **options: Any) -> None:
    with pytest.raises(CheckpointError, match=match):
        open_checkpoint(folder, **options).check()


def test_shards_load_to_the_same_tensors(make_checkpoint: Make) -> None:
    whole, shards = make_checkpoint("whole"), make_checkpoint("shards", max_shard_size="20KB")
    for component, stem in PARTS.items():
        assert not weight_file(shards, component).exists()
        assert len(list((shards / component).glob(f"{stem}-*.safetensors"))) > 1
    assert_equal_weights(open_checkpoint(whole), open_checkpoint(shards))


def test_a_file_is_opened_once_for_all_its_tensors(make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open one reads the names of all, of which there are hundreds: once to know them, to check them, to build."""
    folder, opened = make_checkpoint("shards", max_shard_size="20KB"), []

    def noted(file: Path, framework: str) -> Any:
        opened.append(file)
        return safe_open(file, framework=framework)

    monkeypatch.setattr(safetensors_folder, "safe_open", noted)
    checkpoint = open_checkpoint(folder)
    checkpoint.check()
    assert sorted(opened) == sorted(2 * list(folder.rglob("*.safetensors")))
    opened.clear()
    checkpoint.denoiser()
    assert len(opened) == len(set(opened)) > 1


def test_a_module_that_is_changed_changes_no_other(make_checkpoint: Make) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    one, other = checkpoint.image_decoder(), checkpoint.image_decoder()
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with torch.no_grad():
        for value in one.parameters():
            value.add_(1)
    after = other.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(torch.equal(value, before[name]) for name, value in one.named_parameters())


@pytest.mark.parametrize("variant", ["fp16", None])
def test_fp16_files_load_to_the_same_tensors(variant: str | None, make_checkpoint: Make) -> None:
    whole, half = make_checkpoint("whole"), make_checkpoint("half", variant="fp16")
    for component, stem in PARTS.items():
        assert [path.name for path in (half / component).glob("*.safetensors")] == [f"{stem}.fp16.safetensors"]
    assert_equal_weights(open_checkpoint(whole), open_checkpoint(half, variant=variant))


def test_fp16_shards_load_to_the_same_tensors(make_checkpoint: Make) -> None:
    whole, half = make_checkpoint("whole"), make_checkpoint("half", variant="fp16", max_shard_size="20KB")
    assert_equal_weights(open_checkpoint(whole), open_checkpoint(half, variant="fp16"))


def test_plain_files_are_preferred_and_the_variant_is_obeyed(make_checkpoint: Make) -> None:
    folder = make_checkpoint("both")
    for component, stem in PARTS.items():
        file = weight_file(folder, component)
        tensors = {name: tensor * 2 for name, tensor in load_file(file).items()}
        save_file(tensors, file.with_name(f"{stem}.fp16.safetensors"))
    plain, half = weights(open_checkpoint(folder)), weights(open_checkpoint(folder, variant="fp16"))
    assert all(torch.equal(2 * plain[name], half[name]) for name in plain)


def test_half_precision_is_read_as_float32(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    expected = weights(open_checkpoint(folder))
    for component in PARTS:
        edit_weights(folder, component, lambda tensors: tensors.update({k: v.half() for k, v in tensors.items()}))
    for name, tensor in weights(open_checkpoint(folder)).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].half().float())


@pytest.mark.parametrize("component", PARTS)
def test_pickled_weights_are_refused_with_the_way_out(component: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    file = weight_file(folder, component)
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    with pytest.raises(CheckpointError, match="pickled") as caught:
        open_checkpoint(folder).check()
    assert f"{PARTS[component]}.bin" in str(caught.value)
    assert "save_pretrained" in str(caught.value)
    assert "safe_serialization=True" in str(caught.value)


def test_absent_weights_are_named(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    weight_file(folder, "vqvae").unlink()
    refused(folder, r"vqvae has no diffusion_pytorch_model\.safetensors")


def test_missing_extra_and_misshapen_tensors_are_named(make_checkpoint: Make) -> None:
    def spoil(tensors: dict[str, Any]) -> None:
        del tensors["down_block.res_blocks.0.norm.weight"]
        tensors["lora_up"] = torch.zeros(1)
        tensors["encoder_proj.weight"] = torch.zeros(32, 25)

    folder = make_checkpoint()
    edit_weights(folder, "transformer", spoil)
    refused(
        folder,
        r"transformer do not fit its config\.json; missing: down_block\.res_blocks\.0\.norm\.weight; "
        r"unexpected: lora_up; wrong shape: encoder_proj\.weight \(has \[32, 25\], config says \[32, 24\]\)",
    )


@pytest.mark.parametrize("component", PARTS)
def test_every_component_is_checked(component: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_weights(folder, component, lambda tensors: tensors.update(strange=torch.zeros(1)))
    refused(folder, f"{component} do not fit its config.json; unexpected: strange")


def test_many_problems_are_counted_not_listed(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_weights(folder, "vqvae", lambda t: t.update({f"x{i}": torch.zeros(1) for i in range(8)}))
    refused(folder, "unexpected: x0, x1, x2, x3, x4 and 3 more")


def test_stale_position_ids_are_tolerated(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    name = "text_model.embeddings.position_ids"
    edit_weights(folder, "text_encoder", lambda tensors: tensors.update({name: torch.arange(77)[None]}))
    open_checkpoint(folder).text_encoder()
    edit_weights(folder, "transformer", lambda tensors: tensors.update({name: torch.arange(77)[None]}))
    refused(folder, f"transformer do not fit .*unexpected: {name}")


@pytest.mark.parametrize("keep", [0, 5, 200, -10])
def test_a_truncated_file_is_named(keep: int, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    file = weight_file(folder, "transformer")
    file.write_bytes(file.read_bytes()[:keep])
    refused(folder, r"diffusion_pytorch_model\.safetensors is not a whole safetensors file")


def replace_by_index(folder: Path, text: str) -> None:
    file = weight_file(folder, "transformer")
    file.rename(folder / "outside.safetensors")
    file.with_name("diffusion_pytorch_model.safetensors.index.json").write_text(text)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "sub/shard.safetensors"])
def test_a_shard_outside_the_folder_is_refused(name: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    replace_by_index(folder, json.dumps({"weight_map": {"encoder_proj.weight": name}}))
    refused(folder, "may lie outside its folder")


@pytest.mark.parametrize("name", ["absent.safetensors", "..", ""])
def test_a_missing_shard_is_named(name: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    replace_by_index(folder, json.dumps({"weight_map": {"encoder_proj.weight": name}}))
    refused(folder, "missing|outside")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"weight_map": []}',
        pytest.param('{"weight_map": {"a": 5}}'),
        '{"weight_map": {"a": ["b"]}}',
    ],
)
def test_an_index_that_is_none_is_refused(text: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    replace_by_index(folder, text)
    refused(folder, "is not a safetensors index")
