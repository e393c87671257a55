"""What stands where weights should: codes of another quantization, pointers, web pages, configs of no network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.errors import CheckpointError
from tests.support.files import read_json

Make = Callable[..., Path]

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
NAME = "encoder_proj.weight"


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool, torch.complex64])
def test_codes_without_their_scales_are_refused(dtype: torch.dtype, make_checkpoint: Make) -> None:
    """8-bit weights were taken for numbers of their own size."""
    folder = make_checkpoint()
    tensors = load_file(folder / WEIGHTS)
    save_file({**tensors, NAME: (100 * tensors[NAME]).to(dtype)}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"no floats: {NAME} \("):
        open_checkpoint(folder).check()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_floats_of_any_size_are_read(dtype: torch.dtype, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    tensors = load_file(folder / WEIGHTS)
    stored = tensors[NAME].to(dtype)
    save_file({**tensors, NAME: stored}, folder / WEIGHTS)
    checkpoint = open_checkpoint(folder)
    checkpoint.check()
    assert torch.equal(checkpoint._transformer.read(NAME), stored.to(torch.float32))


def test_a_double_beyond_float32_is_not_finite(make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    tensors = load_file(folder / WEIGHTS)
    tensors[NAME] = tensors[NAME].double()
    tensors[NAME][0, 0] = 1e300
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"{NAME}\[0, 0\] is inf"):
        open_checkpoint(folder).check()


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "Git LFS pointer.*`git lfs pull`"),
        (b"<!doctype html><html>Sign in</html>", "a web page in place of the file"),
        (b"\x00\x01", "not a whole safetensors file"),
        (b"", "not a whole safetensors file"),
    ],
)
def test_what_stands_in_place_of_weights_is_named(content: bytes, advice: str, make_checkpoint: Make) -> None:
    """A pointer was told to be downloaded again, which gives the same pointer."""
    folder = make_checkpoint()
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError, match=advice):
        open_checkpoint(folder).check()


@pytest.mark.parametrize("part", ["transformer", "vqvae", "text_encoder"])
def test_a_quantized_checkpoint_is_refused(part: str, make_checkpoint: Make) -> None:
    folder = make_checkpoint()
    config = folder / part / "config.json"
    config.write_text(json.dumps({**read_json(config), "quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(CheckpointError, match=rf"{part}/config\.json has a quantization_config"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("text_encoder", "num_hidden_layers", 10**9),
        ("transformer", "num_hidden_layers", 10**9),
        ("transformer", "num_res_blocks", 257),
        ("vqvae", "layers_per_block", 10**6),
        ("transformer", "intermediate_size", 2**40),
    ],
)
def test_sizes_of_no_network_are_refused(part: str, name: str, value: int, make_checkpoint: Make) -> None:
    """Each layer was built before it was looked for among the weights, for ever."""
    folder = make_checkpoint()
    config = folder / part / "config.json"
    config.write_text(json.dumps({**read_json(config), name: value}))
    with pytest.raises(CheckpointError, match=rf"{name} is {value}; it must be a whole number above 0"):
        open_checkpoint(folder)
