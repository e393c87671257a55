"""What is read of a checkpoint: configs, tokenizer, weights, their index, LoRAs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.fuzzing.mutate import mutated_json
from tests.support.fuzzing.parser import Parser, Read, of_file
from tests.support.fuzzing.tensors import mutated_safetensors
from tests.support.paths import DEMO_CHECKPOINT


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


_CONFIGS = (
    *("model_index.json", "generation_config.json", "scheduler/scheduler_config.json"),
    *("text_encoder/config.json", "transformer/config.json", "vqvae/config.json"),
)
_DEPTHS = ("num_hidden_layers", "num_res_blocks", "layers_per_block")
_TOKENIZER = ("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json", "tokenizer/vocab.json")


def _files(names: Sequence[str]) -> list[bytes]:
    """The demo's files of these names, as one JSON object."""
    files = {name: json.loads((DEMO_CHECKPOINT / name).read_text()) for name in names}
    for config in files.values():
        config.update((depth, 1) for depth in _DEPTHS if depth in config)  # graphs are built of what fits
    if _TOKENIZER[-1] in files:
        vocabulary = files[_TOKENIZER[-1]].items()
        files[_TOKENIZER[-1]] = {name: number for name, number in vocabulary if number < 40 or name.startswith("<|")}
    return [json.dumps(files).encode()]


def _write_files(folder: Path, data: bytes, names: Sequence[str]) -> None:
    """Write what an object has of these files; one that is a text as it is, and others as JSON."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = dict.fromkeys(names, data.decode("utf-8", "replace"))
    for name in names:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        if isinstance(content, dict) and name in content:
            text = content[name] if isinstance(content[name], str) else json.dumps(content[name])
            file.write_text(text, encoding="utf-8", errors="surrogatepass")
        else:
            file.unlink(missing_ok=True)


def _read_configs(folder: Path) -> Read:
    from amused_edge.export.checkpoint.checkpoint import open_checkpoint

    def one(data: bytes) -> None:
        _write_files(folder, data, _CONFIGS)
        open_checkpoint(folder)

    return one


def _read_checkpoint_tokenizer(folder: Path) -> Read:
    """What an export writes, every bundle takes."""
    from amused_edge.export.checkpoint.tokenizer import read_tokenizer
    from amused_edge.export.modules.configs import TextConfig
    from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
    from amused_edge.runtime.errors import BundleError

    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")

    def one(data: bytes) -> None:
        _write_files(folder, data, _TOKENIZER)
        found = read_tokenizer(folder / "tokenizer", TextConfig(vocab_size=1114))
        written = folder / "tokenizer.json"
        written.write_text(found.json, encoding="utf-8")
        try:
            PromptTokenizer(written, found.length)(["a fox", "é" * 200])
        except BundleError as error:
            raise ValueError(f"what was exported is refused: {error}") from error

    return one


CHECKPOINTS = {
    "configs": Parser(lambda: _files(_CONFIGS), _read_configs, mutated_json),
    "tokenizer of a checkpoint": Parser(lambda: _files(_TOKENIZER), _read_checkpoint_tokenizer, mutated_json),
    "safetensors": Parser(_safetensors, _read_weights, mutated_safetensors),
    "index": Parser(_indexes, _read_index, mutated_json),
    "lora": Parser(_loras, of_file("a.safetensors", _read_lora), mutated_safetensors),
}
