"""LoRA files that are not added: each is refused with what is wrong and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from amused_edge.export.checkpoint.lora.lora import read_lora, read_loras
from amused_edge.export.checkpoint.lora.source import LoraSource
from amused_edge.export.errors import LoraError
from amused_edge.runtime.errors import OptionsError

SHAPES = {
    ("transformer", "transformer_layers.0.attn1.to_q.weight"): (6, 4),
    ("transformer", "transformer_layers.1.attn1.to_q.weight"): (6, 4),
    ("text_encoder", "text_model.encoder.layers.0.self_attn.q_proj.weight"): (4, 4),
}
FOLDED = {("transformer", "embed.conv.weight"): "it is folded into embed.table; export again"}
LAYER = "transformer.transformer_layers.0.attn1.to_q"
DOWN, UP = np.ones((2, 4), np.float32), np.ones((6, 2), np.float32)
GOOD = {f"{LAYER}.lora_A.weight": DOWN, f"{LAYER}.lora_B.weight": UP}


def refused(file: Path, *words: str, **options: Any) -> None:
    with pytest.raises(LoraError) as caught:
        read_loras((LoraSource(str(file)),), SHAPES, folded=FOLDED, **options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_good_one_is_read(tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "good.safetensors")
    lora = read_lora(LoraSource(str(tmp_path / "good.safetensors"), 0.5), SHAPES)
    (layer,) = lora.layers.values()
    assert (layer.delta() == 2 * 0.5).all()
    assert lora.unstated


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({**GOOD, f"{LAYER}.lora_magnitude_vector": DOWN[0]}, ("DoRA", "--transformer")),
        ({"lora_unet_transformer_layers_0_attn1_to_q.dora_scale": DOWN}, ("DoRA",)),
        ({f"{LAYER}.hada_w1_a": DOWN}, ("another kind of adapter",)),
        ({f"{LAYER}.lokr_w1": DOWN}, ("another kind of adapter",)),
        ({"transformer.embed.embeddings.lora_embedding_A": DOWN}, ("LoRA of an embedding",)),
        ({**GOOD, f"{LAYER}.lora_B.bias": DOWN[0]}, ("a bias", "lora_bias=False")),
        ({**GOOD, f"{LAYER}.weight": UP}, ("is this file a LoRA",)),
        ({key.replace("to_q", "to_g"): value for key, value in GOOD.items()}, ("nearest", "attn1.to_q")),
        ({key.replace(".0.", ".22."): value for key, value in GOOD.items()}, ("nearest", "another model")),
        ({"lora_unet_transformer_layers_0_attn_to_q.alpha": DOWN[:1, :1]}, ("transformer_layers_0_attn1_to_q",)),
        ({"text_encoder.text_model.encoder.layers.1.self_attn.q_proj.lora_A.weight": DOWN}, ("layers.0.self_attn",)),
        ({"text_encoder.text_model.layers.0.self_attn.k_lora.down.weight": DOWN}, ("layer", "layers.0.self_attn")),
        ({"transformer.embed.conv.lora_A.weight": DOWN}, ("folded into embed.table",)),
        ({**GOOD, f"{LAYER}.lora_B.weight": UP[:4]}, ("[4, 2] and [2, 4]", "[6, 4]")),
        ({**GOOD, f"{LAYER}.lora_A.weight": DOWN[:1]}, ("[6, 2] and [1, 4]",)),
        ({**GOOD, f"{LAYER}.lora_A.weight": DOWN[0]}, ("shapes",)),
        ({f"{LAYER}.lora_A.weight": DOWN}, ("lacks its factor up",)),
        ({**GOOD, f"{LAYER}.lora.up.weight": UP}, ("second time",)),
        ({**GOOD, f"{LAYER}.alpha": DOWN[0]}, ("alpha", "one number")),
        ({**GOOD, f"{LAYER}.lora_A.weight": DOWN * np.nan}, ("NaN",)),
        ({**GOOD, f"{LAYER}.lora_A.weight": DOWN.astype(np.int32)}, ("type I32",)),
        ({}, ("no tensors",)),
    ],
)
def test_what_a_file_holds(tmp_path: Path, tensors: dict[str, Any], words: tuple[str, ...]) -> None:
    save_file(tensors, tmp_path / "bad.safetensors")
    refused(tmp_path / "bad.safetensors", "bad.safetensors", *words)


def test_a_tensor_of_more_sides_than_arrays_have(tmp_path: Path) -> None:
    tensor = {"dtype": "F32", "shape": [1] * 64 + list(DOWN.shape), "data_offsets": [0, DOWN.nbytes]}
    header = json.dumps({f"{LAYER}.lora_A.weight": tensor}).encode()
    (tmp_path / "bad.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + DOWN.tobytes())
    refused(tmp_path / "bad.safetensors", "bad.safetensors", "has the shape [1, 1, ", "which no array has")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"use_dora": True}, ("DoRA",)),
        ({"peft_type": "LOHA"}, ("LOHA",)),
        ({"init_lora_weights": "pissa_niter_4"}, ("pissa_niter_4", "path_initial_model")),
        ({"lora_alpha": "4"}, ("lora_alpha", "'4'")),
        ({"lora_alpha": 10**400}, ("lora_alpha", "no such number")),
        ({"lora_alpha": 4, "alpha_pattern": {"(": 2}}, ("regular expression",)),
        *(
            ({"alpha_pattern": {pattern: 2}}, ("alpha_pattern", "too many ways"))
            for pattern in (r"(\w+)+", "(?:x){9}", "(?x)(x) +", "(a|a)" * 30, ".*.*.*.*x", "x?" * 30, "x" * 2001)
        ),
        ([], ("JSON object",)),
    ],
)
@pytest.mark.parametrize("in_header", [True, False])
def test_what_a_config_says(tmp_path: Path, config: Any, words: tuple[str, ...], in_header: bool) -> None:
    text = json.dumps(config)
    file = tmp_path / "adapter_model.safetensors"
    save_file(GOOD, file, {"lora_adapter_metadata": text} if in_header else None)
    if not in_header:
        (tmp_path / "adapter_config.json").write_text(text)
    refused(file, *words)


def _pointer(folder: Path) -> None:
    (folder / "a.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def _cut(folder: Path) -> None:
    save_file(GOOD, folder / "a.safetensors")
    content = (folder / "a.safetensors").read_bytes()
    (folder / "a.safetensors").write_bytes(content[:-1])


def _two(folder: Path) -> None:
    for name in ("a", "b"):
        save_file(GOOD, folder / f"{name}.safetensors")


def _pickle(folder: Path) -> None:
    (folder / "pytorch_lora_weights.bin").write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_pointer, ("Git LFS",)),
        (_cut, ("not a whole safetensors file",)),
        (_two, ("several LoRA files", "a.safetensors, b.safetensors")),
        (_pickle, ("pickled",)),
        (lambda folder: None, ("holds no LoRA", "pytorch_lora_weights.safetensors")),
    ],
)
def test_what_a_folder_holds(tmp_path: Path, make: Callable[[Path], None], words: tuple[str, ...]) -> None:
    make(tmp_path)
    refused(tmp_path, *words)


def test_places_and_weights(tmp_path: Path) -> None:
    refused(tmp_path / "no" / "such", "no such file or folder", "OWNER/NAME")
    assert LoraSource.parse("owner/name:-0.5") == LoraSource("owner/name", -0.5)
    assert LoraSource.parse("C:\\style.safetensors") == LoraSource("C:\\style.safetensors")
    (tmp_path / "a:2").mkdir()
    assert LoraSource.parse(str(tmp_path / "a:2")).weight == 1.0
    for weight in ("0", "nan", "inf", "1e9"):
        with pytest.raises(OptionsError, match="weight"):
            LoraSource.parse(f"owner/name:{weight}")


def test_a_scale_that_no_file_needs(tmp_path: Path) -> None:
    stated = {**GOOD, f"{LAYER}.alpha": np.array(1.0, np.float32)}
    save_file(stated, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "each file says its own", "FILE:WEIGHT", scale=2.0)
    refused(tmp_path / "a.safetensors", "above 0", scale=-2.0)
    with pytest.raises(LoraError, match="no LoRA"):
        read_loras((), SHAPES, scale=2.0)
