"""The VQ-GAN's two halves beside diffusers' VQModel."""

from typing import Any

import pytest
import torch
from diffusers import VQModel

from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import VQGanConfig, parse_config
from amused_edge.export.modules.shapes import vqgan_shapes
from amused_edge.export.modules.tensors import Tensors
from amused_edge.export.modules.vqgan import Downsample, ImageDecoder, ImageEncoder
from tests.support.checkpoints import TINY_VQGAN, randomize
from tests.support.oracles import shapes_of, tensors_of, vqgan_config
from tests.support.paths import DEMO_CHECKPOINT

GRID = (3, 5)


def stages(*widths: int) -> dict[str, Any]:
    return {
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
    }


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "attention-2-layers": {"mid_block_add_attention": True, "layers_per_block": 2, **stages(8, 16, 16)},
    "wide-codes-attention": {"mid_block_add_attention": True, "vq_embed_dim": 7},
    "narrow-codes-4-stages": {"vq_embed_dim": 3, "layers_per_block": 2, **stages(4, 8, 8, 12)},
    "1-stage": {**stages(8), "norm_num_groups": 8},
}


def tiny(case: str) -> VQModel:
    return randomize(VQModel(**{**TINY_VQGAN, **CASES[case]}), seed=5)


@pytest.fixture(scope="module")
def demo() -> VQModel:
    return VQModel.from_pretrained(DEMO_CHECKPOINT / "vqvae", torch_dtype=torch.float32).eval()


def model_of(case: str, demo: VQModel) -> VQModel:
    return demo if case == "demo" else tiny(case)


def random_tokens(model: VQModel, batch: int, grid: tuple[int, int] = GRID) -> torch.Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.randint(0, model.config.num_vq_embeddings, (batch, *grid), generator=generator)


@torch.no_grad()
def decode(model: VQModel, tokens: torch.Tensor) -> torch.Tensor:
    """The reference's picture (B, 3, H, W), clipped to [0, 1]."""
    width = model.quantize.embedding.weight.shape[1]
    return model.decode(tokens, force_not_quantize=True, shape=(*tokens.shape, width)).sample.clamp(0, 1)


@torch.no_grad()
def encode(model: VQModel, pictures: torch.Tensor) -> torch.Tensor:
    """The reference's codes of pictures (B, H, W, 3) uint8."""
    pixels = pictures.permute(0, 3, 1, 2).to(model.dtype) / 255
    latents = model.encode(pixels).latents
    codes = model.quantize(latents)[2][2]
    return codes.reshape(len(pictures), *latents.shape[2:])


@torch.no_grad()
@pytest.mark.parametrize("case", ["demo", *CASES])
def test_decoded_pixels_are_the_references(case: str, demo: VQModel) -> None:
    model = model_of(case, demo)
    tokens = random_tokens(model, 3)
    expected = decode(model, tokens)
    pixels = ImageDecoder(vqgan_config(model), tensors_of(model)).pixels(tokens)
    assert pixels.shape == expected.shape
    assert expected.std() > 0.01
    assert (pixels - expected).abs().max() <= 1e-3


@torch.no_grad()
@pytest.mark.parametrize("case", ["demo", *CASES])
def test_float64_pixels_are_the_references(case: str, demo: VQModel) -> None:
    model = model_of(case, demo)
    tokens = random_tokens(model, 2)
    pixels = ImageDecoder(vqgan_config(model), tensors_of(model, torch.float64)).pixels(tokens)
    twin = VQModel(**dict(model.config)).double().eval()
    twin.load_state_dict(model.state_dict())
    assert (pixels - decode(twin, tokens)).abs().max() <= 1e-9


@torch.no_grad()
@pytest.mark.parametrize("case", ["demo", *CASES])
def test_pictures_are_rounded_half_to_even(case: str, demo: VQModel) -> None:
    model = model_of(case, demo)
    tokens = random_tokens(model, 3)
    exact = decode(model, tokens).permute(0, 2, 3, 1) * 255
    picture = ImageDecoder(vqgan_config(model), tensors_of(model))(tokens)
    assert picture.dtype == torch.uint8
    near_half = ((exact - exact.floor()) - 0.5).abs() <= 1e-4 * 255
    assert near_half.float().mean() < 0.2
    assert torch.equal(picture[~near_half], exact.round().to(torch.uint8)[~near_half])


@torch.no_grad()
def test_halves_are_rounded_to_the_even_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("plain")
    decoder = ImageDecoder(vqgan_config(model), tensors_of(model))
    values = torch.tensor([0.5, 1.5, 2.5, 253.5, 254.5, 255.0, 0.0, 0.4999]).reshape(1, 1, 2, 4).expand(1, 3, 2, 4)
    monkeypatch.setattr(decoder, "pixels", lambda tokens: values.double() / 255)
    assert decoder(random_tokens(model, 1))[0, :, :, 0].flatten().tolist() == [0, 2, 2, 254, 254, 255, 0, 0]


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_codes_are_the_references_up_to_near_ties(case: str) -> None:
    model = tiny(case)
    tokens = random_tokens(model, 4)
    pictures = (decode(model, tokens) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    assert_same_codes(model, pictures, share=0.02)


@torch.no_grad()
def test_demo_codes_of_40_pictures_are_the_references_up_to_near_ties(demo: VQModel) -> None:
    tokens = random_tokens(demo, 28, (16, 16))
    drawn = (decode(demo, tokens) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randint(0, 256, (8, 64, 64, 3), generator=generator, dtype=torch.uint8)
    ramp = torch.arange(64).mul(4)
    flat = torch.stack([torch.full((64, 64, 3), value) for value in (0, 128, 255)])
    slope = (ramp[:, None, None] * torch.tensor([1.0, 0.5, 0.0])).expand(64, 64, 3)[None]
    pictures = torch.cat([drawn, noise, flat.to(torch.uint8), slope.to(torch.uint8)])
    assert len(pictures) == 40
    assert_same_codes(demo, pictures, share=1e-3)


def assert_same_codes(model: VQModel, pictures: torch.Tensor, share: float) -> None:
    encoder = ImageEncoder(vqgan_config(model), tensors_of(model))
    ours, theirs = encoder(pictures), encode(model, pictures)
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.int64
    assert len(ours.unique()) > 3
    differs = ours != theirs
    distances = encoder.distances(pictures)
    chosen, expected = (distances.gather(-1, codes[..., None])[..., 0] for codes in (ours, theirs))
    assert ((chosen - expected).abs() <= 1e-4 * expected)[differs].all()
    assert differs.float().mean() <= share


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_float64_codes_are_the_references(case: str) -> None:
    model = tiny(case)
    generator = torch.Generator().manual_seed(2)
    factor = 2 ** (len(model.config.block_out_channels) - 1)
    shape = (2, 3 * factor, 5 * factor, 3)
    pictures = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    encoder = ImageEncoder(vqgan_config(model), tensors_of(model, torch.float64))
    assert torch.equal(encoder(pictures), encode(model.double(), pictures))


@torch.no_grad()
def test_the_lowest_code_wins_a_tie() -> None:
    """Two equal codes: the reference's argmin takes the first."""
    model = tiny("plain")
    weight = model.quantize.embedding.weight
    weight[17:] = weight[:15].clone()
    pictures = torch.randint(0, 256, (4, 6, 10, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    codes = ImageEncoder(vqgan_config(model), tensors_of(model))(pictures)
    assert codes.max() < 17
    assert codes.min() < 15


def test_downsampling_pads_on_the_right_and_bottom_only() -> None:
    """A kernel of ones counts the pixels under it: 9 in the top left corner, 4 in the bottom right one."""
    ones = Downsample(Tensors(lambda name, shape: torch.ones(shape)), 1)
    assert (ones(torch.ones(1, 1, 4, 6)) - 1).int()[0, 0].tolist() == [[9, 9, 6], [6, 6, 4]]


@pytest.mark.parametrize("case", ["demo", *CASES])
def test_declared_shapes_are_the_references(case: str, demo: VQModel) -> None:
    model = model_of(case, demo)
    assert vqgan_shapes(vqgan_config(model)) == shapes_of(model)


@pytest.mark.parametrize(
    "change",
    [
        {"down_block_types": ["AttnDownEncoderBlock2D", "DownEncoderBlock2D"]},
        {"up_block_types": ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]},
        {"norm_type": "spatial"},
        {"act_fn": "gelu"},
        {"in_channels": 1},
        {"out_channels": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_vqgans_are_refused_by_name(change: dict[str, Any]) -> None:
    parse_config(VQGanConfig, TINY_VQGAN, "vqvae/config.json")
    (name,) = change
    with pytest.raises(CheckpointError, match=rf"vqvae/config.json: {name} is "):
        parse_config(VQGanConfig, {**TINY_VQGAN, **change}, "vqvae/config.json")
