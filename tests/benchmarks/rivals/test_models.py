"""The rivals are what they are said to be: parameters as they were published, the pictures of diffusers' pipelines."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from amused_edge.benchmarks.rivals.loop import GUIDANCE_SCALE, draw_latents, make_scheduler
from amused_edge.benchmarks.rivals.models import DECODERS, FULL, RIVALS, TINY, UNETS, Rival
from amused_edge.benchmarks.rivals.networks import (
    Decoder,
    Denoiser,
    decoder_input,
    denoiser_inputs,
    make_decoder,
    make_denoiser,
)
from amused_edge.benchmarks.rivals.parted import DECODER, DENOISER, PICTURE, Part
from amused_edge.benchmarks.rivals.subject import DiffusersRival

PUBLISHED = {
    "sd-1.5": 859_520_964,
    "lcm": 859_520_964 + 256 * 320,  # the guidance's embedding, projected to the time's
    "sd-turbo": 865_910_724,
    "bk-sdm-tiny": 323_384_964,
    FULL: 49_490_179 + 20,  # and the convolution of the latents before it
    TINY: 1_222_531,
}
SMALL: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "norm_num_groups": 4,
    "attention_head_dim": 2,
    "cross_attention_dim": 8,
}
SMALL_DECODERS: dict[str, Any] = {
    FULL: {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "norm_num_groups": 4,
    },
    TINY: {"encoder_block_out_channels": (8, 8, 8, 8), "decoder_block_out_channels": (8, 8, 8, 8)},
}
SIDE = 32  # pixels


def test_networks_have_as_many_parameters_as_were_published() -> None:
    with torch.device("meta"):
        made = {**{name: Denoiser(config) for name, config in UNETS.items()}, **{n: Decoder(n) for n in DECODERS}}
    assert {name: sum(p.numel() for p in module.parameters()) for name, module in made.items()} == PUBLISHED


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(rival: Rival) -> Rival:
    """As few steps as show whether one follows another."""
    return replace(rival, steps=min(rival.steps, 3))


def config_of(rival: Rival) -> dict[str, Any]:
    return {**SMALL, **({"time_cond_proj_dim": 4} if "time_cond_proj_dim" in UNETS[rival.network] else {})}


def pipeline(rival: Rival, decoder: str) -> Any:
    """Return diffusers' own, with the very weights that a subject draws with."""
    unet = make_denoiser(rival.network, config_of(rival)).unet
    kind = diffusers.AutoencoderKL if decoder == FULL else diffusers.AutoencoderTiny
    vae = kind(**SMALL_DECODERS[decoder]).eval()
    vae.load_state_dict(make_decoder(decoder, SMALL_DECODERS[decoder]).autoencoder.state_dict(), strict=False)
    guided_by_input = unet.config.time_cond_proj_dim is not None
    made = diffusers.LatentConsistencyModelPipeline if guided_by_input else diffusers.StableDiffusionPipeline
    parts = {"vae": vae, "unet": unet, "scheduler": make_scheduler(rival)}
    nothing = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    found = made(**parts, **nothing, requires_safety_checker=False)
    found.set_progress_bar_config(disable=True)
    return found


def drawn_by_diffusers(rival: Rival, decoder: str, count: int) -> tuple[np.ndarray[Any, Any], torch.Tensor | None]:
    """Return pictures, and the embedding of the guidance scale where there is one."""
    made = pipeline(rival, decoder)
    text = denoiser_inputs(config_of(rival), count * rival.branches, SIDE // 8, SIDE // 8)["encoder_hidden_states"]
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((count, 4, SIDE // 8, SIDE // 8), generator=generator)
    embeddings = {"prompt_embeds": text[-count:]}
    if rival.guided:
        embeddings["negative_prompt_embeds"] = text[:count]
    scale = GUIDANCE_SCALE if rival.guided or made.unet.config.time_cond_proj_dim else 0.0
    images = made(
        **embeddings,
        latents=latents,
        height=SIDE,
        width=SIDE,
        num_inference_steps=rival.steps,
        guidance_scale=scale,
        generator=generator,
        output_type="np",
    ).images
    dim = made.unet.config.time_cond_proj_dim
    guidance = None if dim is None else made.get_guidance_scale_embedding(torch.tensor([scale - 1] * count), dim)
    return images, guidance


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.label)
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_rival_draws_what_its_pipeline_in_diffusers_draws(
    rival: Rival, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = small(rival)
    expected, guidance = drawn_by_diffusers(use, decoder, 2)
    subject = DiffusersRival(rival.network, SIDE, None, config_of(rival), SMALL_DECODERS, (use,))
    subject.load()
    if guidance is not None:  # in place of random numbers
        monkeypatch.setattr(
            "amused_edge.benchmarks.rivals.subject.denoiser_inputs",
            lambda *a: {**denoiser_inputs(*a), "timestep_cond": guidance},
        )
    images = subject.part(Part(PICTURE, 2, decoder, rival.label))()
    assert images.shape == (2, SIDE, SIDE, 3)
    assert np.abs(images.astype(int) - np.round(255 * expected)).max() <= 1
    assert images.std() > 1


def test_parts_are_what_a_picture_calls() -> None:
    """With as many rows as are asked for; a decoder's are pictures."""
    subject = DiffusersRival("sd-1.5", SIDE, {"threads": 1}, SMALL, SMALL_DECODERS)
    subject.load()
    assert subject.part(Part(DENOISER, 3))().shape == (3, 4, SIDE // 8, SIDE // 8)
    assert subject.part(Part(DECODER, 2, TINY))().shape == (2, 3, SIDE, SIDE)


@pytest.mark.parametrize("guided", [False, True])
def test_the_network_is_called_once_a_step_with_a_row_for_each_branch(guided: bool) -> None:
    use = replace(RIVALS[0], guided=guided)
    rows = []

    def denoise(latents: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        rows.append(len(latents))
        return latents

    draw_latents(use, denoise, decoder_input(2, 4, 4), torch.Generator())
    assert rows == [4 if guided else 2] * 20


def test_openvino_computes_what_diffusers_does(tmp_path: Any) -> None:
    """But for 8-bit weights."""
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    from amused_edge.benchmarks.rivals.make import make_rivals
    from amused_edge.benchmarks.rivals.subject import OpenVinoRival

    config = {**SMALL, "time_cond_proj_dim": 4}
    make_rivals(tmp_path, {"lcm": config}, SMALL_DECODERS)
    options: dict[str, Any] = {"network": "lcm", "side": SIDE, "config": config, "decoders": SMALL_DECODERS}
    pair = [OpenVinoRival(str(tmp_path), **options), DiffusersRival(**options)]
    for subject in pair:
        subject.load()
    for part in (Part(DENOISER, 3), Part(DECODER, 1, FULL), Part(DECODER, 1, TINY)):
        a, b = (subject.part(part)() for subject in pair)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 0.05 * np.abs(b).max()
