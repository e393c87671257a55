"""What a checkpoint's configs say, read as diffusers and transformers read it, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AmusedScheduler, VQModel
from transformers import CLIPConfig, CLIPModel, CLIPTextModelWithProjection

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import VQGanConfig, parse_config
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.sampling.schedule import mask_length
from tests.support.checkpoints import TINY_TEXT, randomize
from tests.support.files import read_json
from tests.support.oracles import relative

Make = Callable[..., Path]

STEPS, TOKENS = 12, 256


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**read_json(path), **values}))


def masked_by_the_reference(folder: Path) -> list[int]:
    """Tokens that are masked after each step of diffusers' scheduler of this checkpoint."""
    scheduler = AmusedScheduler.from_pretrained(folder, subfolder="scheduler")
    scheduler.set_timesteps(STEPS)
    mask = scheduler.config.mask_token_id
    tokens, generator = torch.full((1, TOKENS), mask), torch.Generator().manual_seed(0)
    counts = []
    for timestep in scheduler.timesteps:
        logits = torch.randn(1, TOKENS, mask, generator=generator)
        tokens = scheduler.step(logits, timestep, tokens, generator=generator).prev_sample
        counts.append(int((tokens == mask).sum()))
    return counts


def masked_here(settings: SamplerSettings) -> list[int]:
    counts, unknown = [], TOKENS
    for step in range(settings.steps - 1):
        unknown = mask_length(settings.schedule, step, settings.steps, sequence_length=TOKENS, unknown=unknown)
        counts.append(unknown)
    return [*counts, 0]


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({"masking_schedule": "linear"}, [234, 213, 192]),
        ({"masking_schedule": "cosine"}, [253, 247, 236]),
        ({"masking_schedule": "linear", "temperature": [9, 9], "num_inference_steps": 3}, [234, 213, 192]),
    ],
    ids=["linear", "cosine", "with fields that the reference ignores"],
)
def test_as_many_tokens_are_masked_as_by_the_reference(
    fields: dict[str, Any], first: list[int], make_checkpoint: Make
) -> None:
    """A linear schedule in the scheduler's config was ignored: the bundle's was cosine."""
    folder = make_checkpoint()
    edit_json(folder / "scheduler" / "scheduler_config.json", **fields)
    settings = open_checkpoint(folder).sampler
    assert settings == SamplerSettings(schedule=fields["masking_schedule"])
    assert masked_here(settings) == masked_by_the_reference(folder)
    assert masked_here(settings)[:3] == first


def test_a_scheduler_that_names_no_schedule_has_the_references(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    (folder / "scheduler" / "scheduler_config.json").write_text('{"mask_token_id": 39}')
    checkpoint = open_checkpoint(folder)
    assert checkpoint.sampler.schedule == "cosine"
    assert masked_here(checkpoint.sampler) == masked_by_the_reference(folder)
    (folder / "scheduler" / "scheduler_config.json").write_text('{"mask_token_id": 39.0}')
    assert open_checkpoint(folder) == checkpoint


def test_the_generation_config_wins_over_the_scheduler_and_options_over_both(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_json(folder / "scheduler" / "scheduler_config.json", masking_schedule="linear")
    (folder / "generation_config.json").write_text('{"num_inference_steps": 7}')
    assert open_checkpoint(folder).sampler == SamplerSettings(7, schedule="linear")
    (folder / "generation_config.json").write_text('{"schedule": "cosine"}')
    settings = open_checkpoint(folder).sampler
    assert settings.schedule == "cosine"
    assert GenerationOptions(schedule="linear").settings(settings).schedule == "linear"


@pytest.mark.parametrize("value", ["sine", "Cosine", "", None, 1, ["linear"]])
def test_another_masking_schedule_is_refused(value: Any, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_json(folder / "scheduler" / "scheduler_config.json", masking_schedule=value)
    with pytest.raises(CheckpointError, match=r"^scheduler/scheduler_config\.json: masking_schedule is "):
        open_checkpoint(folder)


def test_a_scheduler_without_a_mask_is_refused(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="has no mask_token_id"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("vqvae", ["diffusers", "AutoencoderKL"]),
        ("scheduler", ["diffusers", "DDIMScheduler"]),
        ("text_encoder", ["transformers", "CLIPTextModel"]),
        ("text_encoder", None),
        ("tokenizer", ["transformers", "T5Tokenizer"]),
        ("tokenizer", [None, None]),
    ],
)
def test_a_part_of_another_class_is_refused(part: str, value: Any, make_checkpoint: Make) -> None:
    """Only the transformer's class was looked at."""
    folder = make_checkpoint()
    edit_json(folder / "model_index.json", **{part: value})
    with pytest.raises(CheckpointError, match=rf"model_index\.json: {part} is .*; aMUSEd's is \["):
        open_checkpoint(folder)


def test_what_the_reference_ignores_in_the_index_is_ignored(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    edit_json(
        folder / "model_index.json",
        _class_name="AmusedInpaintPipeline",
        tokenizer=["transformers", "CLIPTokenizerFast"],
        feature_extractor=[None, None],
        requires_safety_checker=False,
    )
    open_checkpoint(folder)


@pytest.mark.parametrize("act_fn", ["swish", "SiLU", "silu", "SWISH"])
@torch.no_grad()
def test_names_of_silu_are_those_of_diffusers(act_fn: str, make_checkpoint: Make) -> None:
    """ "swish" was refused, though it is SiLU."""
    folder = make_checkpoint(vqgan={"act_fn": act_fn, "down_block_types": ["UNetResDownEncoderBlock2D"] * 2})
    reference = VQModel.from_pretrained(folder, subfolder="vqvae").eval()
    tokens = torch.randint(0, 32, (1, 4, 6), generator=torch.Generator().manual_seed(0))
    expected = reference.decode(tokens, force_not_quantize=True, shape=(1, 4, 6, 4)).sample
    decoder = open_checkpoint(folder).image_decoder()
    assert relative(expected.clamp(0, 1), decoder.pixels(tokens)) <= 1e-5


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"act_fn": "mish"}, "act_fn is 'mish'"),
        ({"lookup_from_codebook": False}, "lookup_from_codebook is False"),
        ({"lookup_from_codebook": "yes"}, "it must be true or false"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"] * 2}, "AttnDownEncoderBlock2D"),
        ({"latent_channels": 4.5}, "latent_channels is 4.5; it must be a whole number above 0"),
        ({"latent_channels": float("inf")}, "latent_channels is inf"),
        ({"latent_channels": float("nan")}, "latent_channels is nan"),
    ],
    ids=str,
)
def test_a_vqgan_that_would_compute_something_else_is_refused(
    values: dict[str, Any], match: str, make_checkpoint: Make
) -> None:
    folder = make_checkpoint()
    edit_json(folder / "vqvae" / "config.json", **values)
    with pytest.raises(CheckpointError, match=match) as caught:
        open_checkpoint(folder)
    assert str(caught.value).startswith("vqvae/config.json: ")


def test_a_vqgan_without_a_word_on_its_codebook_looks_codes_up() -> None:
    assert parse_config(VQGanConfig, {"block_out_channels": [64]}, "").lookup_from_codebook


def test_fields_that_do_not_change_the_result_are_ignored(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    before = open_checkpoint(folder)
    edit_json(folder / "vqvae" / "config.json", force_upcast=True, scaling_factor=0.5, sample_size=99)
    edit_json(folder / "transformer" / "config.json", attention_dropout=0.3, hidden_dropout=0.1)
    edit_json(folder / "text_encoder" / "config.json", attention_dropout=0.3, initializer_range=9)
    assert open_checkpoint(folder) == before


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("transformer", ("hidden_size", "sample_size", "num_hidden_layers")),
        ("vqvae", ("latent_channels", "norm_num_groups", "block_out_channels")),
        ("text_encoder", ("hidden_size", "max_position_embeddings", "eos_token_id")),
    ],
)
def test_whole_numbers_may_be_written_as_floats(file: str, fields: tuple[str, ...], make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    before = open_checkpoint(folder)
    path = folder / file / "config.json"
    content = read_json(path)
    for name in fields:
        value = content[name]
        content[name] = [float(item) for item in value] if isinstance(value, list) else float(value)
    path.write_text(json.dumps(content))
    checkpoint = open_checkpoint(folder)
    assert checkpoint == before
    checkpoint.check()


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
def test_a_whole_epsilon_is_a_number_and_an_infinite_one_is_none(part: str, make_checkpoint: Make) -> None:
    """transformers refused the text encoder's as no float; infinity passed."""
    folder = make_checkpoint()
    edit_json(folder / part / "config.json", layer_norm_eps=1)
    open_checkpoint(folder).check()
    for value in (float("inf"), 10**400, 0, "1e-5", None):
        edit_json(folder / part / "config.json", layer_norm_eps=value)
        with pytest.raises(CheckpointError, match=rf"{part}/config\.json: layer_norm_eps is .* a number above 0"):
            open_checkpoint(folder)


@torch.no_grad()
def assert_encodes_as(reference: CLIPTextModelWithProjection, folder: Path) -> None:
    ids = torch.randint(0, TINY_TEXT["vocab_size"], (2, 77), generator=torch.Generator().manual_seed(0))
    expected = reference.eval()(ids, output_hidden_states=True, return_dict=True)
    encoder = open_checkpoint(folder).text_encoder()
    hidden_states, pooled = encoder(ids)
    assert encoder.text_model.config._attn_implementation == "eager"
    assert relative(expected.hidden_states[-2], hidden_states) <= 1e-5
    assert relative(expected.text_embeds, pooled) <= 1e-5


@pytest.mark.parametrize(
    "fields",
    [
        {"_attn_implementation": "sdpa"},
        {"_attn_implementation": "flash_attention_2"},
        {"attn_implementation": "flash_attention_2"},
        {"_attn_implementation_autoset": True, "_name_or_path": "openai/clip-vit-large-patch14"},
        {"return_dict": False},
        {"output_attentions": True, "output_hidden_states": True},
        {"torch_dtype": "float16"},
        {"dtype": "bfloat16"},
        {"torchscript": True, "use_cache": False, "transformers_version": "4.25.1"},
        {"bos_token_id": None, "pad_token_id": None},
    ],
    ids=str,
)
def test_fields_of_a_run_do_not_touch_the_text_encoder(fields: dict[str, Any], make_checkpoint: Make) -> None:
    """`_attn_implementation` overrode the attention that export needs; `return_dict` broke the module."""
    folder = make_checkpoint()
    reference = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder")
    edit_json(folder / "text_encoder" / "config.json", **fields)
    assert_encodes_as(reference, folder)


def test_a_whole_clip_gives_its_text_encoder(make_checkpoint: Make) -> None:
    """A config with the text encoder's inside (and a whole CLIP's weights) was refused."""
    folder = make_checkpoint()
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = CLIPConfig(
        text_config={**TINY_TEXT, "eos_token_id": 1113, "hidden_act": "gelu"},
        vision_config={**vision, "image_size": 8, "patch_size": 4},
        projection_dim=TINY_TEXT["projection_dim"],
    )
    path = folder / "text_encoder"
    (path / "model.safetensors").unlink()
    randomize(CLIPModel(config), seed=4).save_pretrained(path)
    assert "text_config" in read_json(path / "config.json")
    assert_encodes_as(CLIPTextModelWithProjection.from_pretrained(path), folder)
    open_checkpoint(folder).check()


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"text_config": None}, "text_config is None"),
        ({"text_config": {"hidden_size": 24, "projection_dim": "16"}}, "projection_dim is '16'"),
        ({"eos_token_id": [2]}, r"eos_token_id is \(2,\); it must be a whole number of 0 or more"),
        ({"eos_token_id": None}, "eos_token_id is None"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_attention_heads": 5}, "num_attention_heads 5 does not divide hidden_size 24"),
        ({"hidden_act": "SiLU"}, "hidden_act is 'SiLU'"),
    ],
    ids=str,
)
def test_a_text_encoder_that_makes_no_sense_is_refused_in_one_line(
    fields: dict[str, Any], match: str, make_checkpoint: Make
) -> None:
    folder = make_checkpoint()
    edit_json(folder / "text_encoder" / "config.json", **fields)
    with pytest.raises(CheckpointError, match=match) as caught:
        open_checkpoint(folder).check()
    assert "text_encoder/config.json" in str(caught.value)
    assert "\n" not in str(caught.value)
