"""Folders that are checkpoints or none, their configs, and what they say of sampling and of their license."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.errors import CheckpointError
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.files import read_json
from tests.support.paths import DEMO_CHECKPOINT

Make = Callable[..., Path]


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**read_json(path), **values}))


def refused(folder: Path, match: str, **options: Any) -> None:
    with pytest.raises(CheckpointError, match=match):
        open_checkpoint(folder, **options).check()


def test_an_empty_folder_is_no_checkpoint(tmp_path: Path) -> None:
    refused(tmp_path, r"cannot read .*model_index\.json; is this an aMUSEd checkpoint in diffusers layout\?")


def test_a_path_that_is_neither_folder_nor_hub_id(tmp_path: Path) -> None:
    refused(tmp_path / "no" / "such", r"cannot read .*model_index\.json")


@pytest.mark.parametrize(
    "transformer",
    [
        ["diffusers", "SD3Transformer2DModel"],
        pytest.param(None),
        pytest.param([]),
        "UVit2DModel",
        ["diffusers", None],
    ],
)
def test_another_pipeline_is_refused(transformer: Any, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_json(folder / "model_index.json", transformer=transformer)
    refused(folder, r"aMUSEd's is \['diffusers', 'UVit2DModel'\]")


def test_a_pipeline_without_a_transformer_is_refused(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline", "unet": ["a", "b"]}')
    refused(folder, r"aMUSEd's is \['diffusers', 'UVit2DModel'\]")


@pytest.mark.parametrize("part", ["transformer", "vqvae", "text_encoder"])
@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_a_damaged_config_is_named(part: str, text: str | None, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    path = folder / part / "config.json"
    path.unlink() if text is None else path.write_text(text)
    refused(folder, rf"{part}/config\.json")


@pytest.mark.parametrize(
    ("file", "values", "match"),
    [
        ("transformer/config.json", {"codebook_size": 31}, "draws 31 codes, the VQ-GAN has 32"),
        ("scheduler/scheduler_config.json", {"mask_token_id": 31}, "mask_token_id 31 is not between"),
        ("scheduler/scheduler_config.json", {"mask_token_id": 40}, "mask_token_id 40 is not between"),
        ("scheduler/scheduler_config.json", {"mask_token_id": "39"}, "mask_token_id is '39'"),
        ("scheduler/scheduler_config.json", {"mask_token_id": True}, "mask_token_id is True"),
        ("transformer/config.json", {"encoder_hidden_size": 26}, "width 26, the text encoder's hidden_size is 24"),
        ("transformer/config.json", {"cond_embed_dim": 17}, "width 17, the text encoder's projection_dim is 16"),
        ("text_encoder/config.json", {"projection_dim": 8}, "width 16, the text encoder's projection_dim is 8"),
        ("transformer/config.json", {"micro_cond_embed_dim": 41}, "micro_cond_embed_dim is 41"),
        ("transformer/config.json", {"upsample": True}, "only one of downsample and upsample"),
        ("transformer/config.json", {"num_attention_heads": 5}, "num_attention_heads 5 does not divide hidden_size"),
        ("transformer/config.json", {"block_num_heads": 0}, "block_num_heads is 0; it must be a whole number above 0"),
        ("vqvae/config.json", {"block_out_channels": []}, r"block_out_channels is \(\); it must be a list"),
        ("vqvae/config.json", {"block_out_channels": [8, "16"]}, "each item a whole number above 0"),
        (
            "vqvae/config.json",
            {"vq_embed_dim": "64"},
            "vq_embed_dim is '64'; it must be a whole number above 0, or null",
        ),
        ("vqvae/config.json", {"latent_channels": -1}, "latent_channels is -1; it must be a whole number above 0"),
        ("transformer/config.json", {"num_res_blocks": 0}, "num_res_blocks is 0; it must be a whole number above 0"),
        ("transformer/config.json", {"hidden_size": "32"}, "hidden_size is '32'"),
        ("transformer/config.json", {"use_bias": 1}, "use_bias is 1"),
        ("vqvae/config.json", {"norm_type": "spatial"}, "norm_type is 'spatial'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_configs_that_do_not_fit_are_refused(
    file: str, values: dict[str, Any], match: str, make_checkpoint: Make
) -> None:
    folder = make_checkpoint()
    open_checkpoint(folder)
    edit_json(folder / file, **values)
    refused(folder, match)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"num_attention_heads": 5}),
        pytest.param({"hidden_act": "nonsense"}),
        pytest.param({"vocab_size": "many"}),
        {"num_hidden_layers": -1},
    ],
    ids=str,
)
def test_a_text_config_that_transformers_refuses_is_a_checkpoint_error(
    values: dict[str, Any], make_checkpoint: Make
) -> None:
    folder = make_checkpoint()
    edit_json(folder / "text_encoder" / "config.json", **values)
    refused(folder, "text_encoder")


def test_group_norms_that_do_not_fit_are_refused(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_json(folder / "vqvae" / "config.json", norm_num_groups=3)
    refused(folder, "norm_num_groups")


def test_sampler_defaults_are_the_references(make_checkpoint: Make) -> None:
    assert open_checkpoint(make_checkpoint()).sampler == SamplerSettings(12, 10.0, (2.0, 0.0), "cosine")


def test_generation_config_is_read(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    settings = {"num_inference_steps": 7, "guidance_scale": 3, "temperature": [1, 0.5], "schedule": "linear"}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    assert open_checkpoint(folder).sampler == SamplerSettings(7, 3.0, (1.0, 0.5), "linear")
    (folder / "generation_config.json").write_text('{"temperature": 1.5}')
    assert open_checkpoint(folder).sampler == SamplerSettings(temperature=1.5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"steps": 7}', "unknown setting 'steps'"),
        ('{"num_inference_steps": 0}', "steps is 0"),
        ('{"num_inference_steps": "7"}', "steps is '7'"),
        ('{"guidance_scale": -1}', "guidance_scale is -1"),
        ('{"guidance_scale": NaN}', "guidance_scale is nan"),
        ('{"temperature": [1, 2, 3]}', "temperature is"),
        ('{"schedule": "sine"}', "schedule is 'sine'"),
        ('{"schedule": ["cosine"]}', "schedule is"),
        ("[]", "not a JSON object"),
        ("{", "cannot read"),
    ],
)
def test_a_bad_generation_config_is_refused(text: str, match: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(CheckpointError, match=match) as caught:
        open_checkpoint(folder)
    assert "generation_config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: openrail++\ntags: [a]\n---\n# Model\n", "openrail++"),
        ("---\ntags: [a]\n---\n", "unknown"),
        ("# no header\n", "unknown"),
        pytest.param("---\nlicense: [unclosed\n---\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_license_comes_from_the_model_card(card: str | None, expected: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    if card is not None:
        (folder / "README.md").write_text(card)
    assert open_checkpoint(folder).license == expected


def test_a_folder_is_not_looked_for_on_the_hub(
    make_checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(make_checkpoint("tiny"), tmp_path / "amused" / "amused-256")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("asked the hub"))
    assert open_checkpoint("amused/amused-256").source == "amused-256"


@pytest.mark.parametrize("error", [OSError("no route to host\nmore"), RuntimeError()])
def test_a_failing_download_is_a_checkpoint_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    reason = "no route to host" if isinstance(error, OSError) else "RuntimeError"
    with pytest.raises(CheckpointError, match=f"nobody/nothing is neither a folder nor .*: {reason}$"):
        open_checkpoint("nobody/nothing")


def test_modules_are_built_in_the_dtype_asked_for() -> None:
    checkpoint = open_checkpoint(DEMO_CHECKPOINT)
    for dtype in (torch.float32, torch.float64):
        assert {p.dtype for p in checkpoint.image_decoder(dtype).parameters()} == {dtype}
