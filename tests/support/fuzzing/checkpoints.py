"""What is read of a checkpoint: weights, their index, LoRAs."""

import json
from pathlib import Path
from typing import Any

from tests.support.fuzzing.mutate import mutated_json
from tests.support.fuzzing.parser import Parser, Read, of_file
from tests.support.fuzzing.tensors import mutated_safetensors


def _safetensors() -> list[bytes]:
    import numpy as np
    from safetensors.numpy import save

    a = np.ones((2, 3), np.float32)
    return [save({"a.weight": a, "b": a[0].astype(np.float16)}), save({"a": a}, {"format": "pt"})]


def _read_weights(folder: Path) -> Read:
    from amused_edge.export.checkpoint.safetensors_folder import SafetensorsFolder

    def one(data: bytes) -> None:
        (folder / "model.safetensors").write_bytes(data)
        weights = SafetensorsFolder(folder, "transformers")
        for name in list(weights.shapes)[:5]:
            weights.read(name)

    return one


def _loras() -> list[bytes]:
    import numpy as np
    from safetensors.numpy import save

    down, up = np.ones((2, 6), np.float32), np.ones((4, 2), np.float32)
    layer = "transformer_layers.0.attention.to_q"
    plain = {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}
    kohya = {"lora_unet_transformer_layers_0_attention_to_q.lora_down.weight": down}
    kohya |= {"lora_unet_transformer_layers_0_attention_to_q.lora_up.weight": up}
    kohya |= {"lora_unet_transformer_layers_0_attention_to_q.alpha": np.array(2, np.float32)}
    peft = {f"base_model.model.{layer}.lora_A.weight": down, f"base_model.model.{layer}.lora_B.weight": up}
    config = {"r": 2, "lora_alpha": 4, "alpha_pattern": {"to_q": 1}, "rank_pattern": {}, "target_modules": ["to_q"]}
    told = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in config.items()})}
    old = {f"transformer.{layer}.processor.to_q_lora.down.weight": down}
    old |= {f"transformer.{layer}.processor.to_q_lora.up.weight": up}
    text = "text_encoder.text_model.encoder.layers.0.self_attn"
    halves = {f"{text}.to_q_lora.down.weight": down.astype(np.float16)}
    halves |= {f"{text}.to_q_lora.up.weight": up.astype(np.float64)}
    conv = {"base_model.model.mlm_layer.conv1.lora_A.default.weight": np.ones((2, 3, 1, 1), np.float32)}
    conv |= {"base_model.model.mlm_layer.conv1.lora_B.default.weight": np.ones((2, 2, 1, 1), np.float32)}
    return [save(plain), save(kohya), save(peft), save(plain, told), save(old), save(halves), save(conv)]


def _read_lora(path: Path) -> object:
    from amused_edge.export.checkpoint.lora.lora import read_loras
    from amused_edge.export.checkpoint.lora.source import LoraSource

    shapes: dict[Any, tuple[int, ...]] = {
        ("transformer", "transformer_layers.0.attention.to_q.weight"): (4, 6),
        ("transformer", "mlm_layer.conv1.weight"): (2, 3, 1, 1),
        ("text_encoder", "text_model.encoder.layers.0.self_attn.q_proj.weight"): (4, 6),
    }
    return read_loras((LoraSource(str(path)),), shapes)


def _indexes() -> list[bytes]:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    return [json.dumps({"metadata": {"total_size": 10}, "weight_map": names}).encode()]


def _read_index(folder: Path) -> Read:
    from amused_edge.export.checkpoint.weight_files import find_weight_files

    (folder / "model-00001-of-00002.safetensors").touch()
    (folder / "model-00002-of-00002.safetensors").touch()

    def one(data: bytes) -> None:
        (folder / "model.safetensors.index.json").write_bytes(data)
        find_weight_files(folder, "transformers")

    return one


CHECKPOINTS = {
    "safetensors": Parser(_safetensors, _read_weights, mutated_safetensors),
    "index": Parser(_indexes, _read_index, mutated_json),
    "lora": Parser(_loras, of_file("a.safetensors", _read_lora), mutated_safetensors),
}
