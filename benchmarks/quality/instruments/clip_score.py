"""CLIP score: how well a picture fits its prompt, by a CLIP that the user gives.

`100 max(cos(picture, text), 0)` (Hessel et al., "CLIPScore", EMNLP 2021, up to its scale).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from amused_edge.benchmarks.quality.instruments.onnx_model import open_session, run
from amused_edge.runtime.errors import OptionsError, as_refusal, quoted
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.system.library_paths import library_path

Array = NDArray[Any]
Embed = Callable[[Array, Array], tuple[Array, Array]]
"""(ids (1, L) int64, pixels (1, 3, H, W) float32) -> embeddings of text and picture, (1, D) each."""


class ClipScorer:
    """A CLIP in a folder.

    Parameters
    ----------
    folder
        `tokenizer.json`, `preprocessor_config.json`, and `model.onnx` (inputs `input_ids`, `attention_mask`,
        `pixel_values`; outputs `text_embeds`, `image_embeds`) or a transformers model (`config.json` and safetensors;
        needs torch and transformers).

    Raises
    ------
    OptionsError
        A file is missing or does not fit.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._folder = folder
        with as_refusal(OptionsError, f"{folder} holds no CLIP: "):
            self._tokenizer = Tokenizer.from_file(library_path(folder / "tokenizer.json"))
            self._preprocess = _Preprocessing(json.loads((folder / "preprocessor_config.json").read_text("utf-8")))
        self._tokenizer.no_padding()
        onnx = (folder / "model.onnx").exists()
        self._embed, length = _onnx(folder, threads) if onnx else _transformers(folder)
        self._tokenizer.enable_truncation(length)

    def __call__(self, prompts: Sequence[str], images: Sequence[ImageArray]) -> NDArray[np.float64]:
        """Return the scores (n,) of pictures (H, W, 3) uint8 and their prompts."""
        return np.array([self._score(prompt, image) for prompt, image in zip(prompts, images, strict=True)])

    def _score(self, prompt: str, image: ImageArray) -> float:
        with as_refusal(OptionsError, f"the tokenizer of {self._folder} cannot read a prompt: "):
            ids = np.asarray([self._tokenizer.encode(prompt).ids], np.int64)
        text, picture = (x[0].astype(np.float64) for x in self._embed(ids, self._preprocess(image)))
        cosine = text @ picture / (np.linalg.norm(text) * np.linalg.norm(picture))
        return 100 * max(float(cosine), 0.0)


class _Preprocessing:
    """CLIP's: shortest edge to a size, centre crop, [0, 1], minus mean, by deviation."""

    def __init__(self, config: dict[str, Any]) -> None:
        size, crop = config["size"], config.get("crop_size", config["size"])
        self._edge = int(size["shortest_edge"] if isinstance(size, dict) else size)
        self._crop = int(crop["height"] if isinstance(crop, dict) else crop)
        if self._crop > self._edge:
            raise OptionsError(f"its crop of {self._crop} pixels is larger than its pictures of {self._edge}")
        self._mean, self._deviation = (np.asarray(config[f"image_{name}"], np.float32) for name in ("mean", "std"))

    def __call__(self, image: ImageArray) -> Array:
        height, width = image.shape[:2]
        short = min(height, width)
        size = (self._edge * width // short, self._edge * height // short)  # whole pixels, cut off
        resized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), np.float32) / 255
        top, left = (resized.shape[0] - self._crop) // 2, (resized.shape[1] - self._crop) // 2
        cropped = resized[top : top + self._crop, left : left + self._crop]
        return ((cropped - self._mean) / self._deviation).transpose(2, 0, 1)[None].astype(np.float32)


def _onnx(folder: Path, threads: int | None) -> tuple[Embed, int]:
    """Return the embeddings by `model.onnx`, and how many ids it takes."""
    session = open_session(folder / "model.onnx", "the CLIP model", threads)
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    outputs = {tensor.name for tensor in session.get_outputs()}
    kinds = {name: (tensor.type, len(tensor.shape)) for name, tensor in inputs.items()}
    ids, mask, pixels = ("tensor(int64)", 2), ("tensor(int64)", 2), ("tensor(float)", 4)
    known = {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}
    fits = {"input_ids": ids, "pixel_values": pixels}.items() <= kinds.items() <= known.items()
    taken = ", ".join(f"{name} ({kind}, {axes} axes)" for name, (kind, axes) in kinds.items())
    if not fits or not {"text_embeds", "image_embeds"} <= outputs:
        raise OptionsError(
            f"{folder / 'model.onnx'} takes {taken} and gives {', '.join(sorted(outputs))}; it must take int64 "
            "input_ids (and attention_mask) and float32 pixel_values, and give text_embeds and image_embeds"
        )
    fixed = inputs["input_ids"].shape[1]
    length = fixed if isinstance(fixed, int) else 77

    def embed(ids: Array, pixels: Array) -> tuple[Array, Array]:
        mask = np.ones_like(ids)
        if isinstance(fixed, int):  # the last id ends the text, and CLIP fills up with it
            missing = ((0, 0), (0, fixed - ids.shape[1]))
            ids, mask = np.pad(ids, missing, mode="edge"), np.pad(mask, missing)
        feeds = {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}
        wanted = {name: value for name, value in feeds.items() if name in inputs}
        text, picture = run(session, ["text_embeds", "image_embeds"], wanted, f"the CLIP {folder}")
        return text, picture

    return embed, length


def _transformers(folder: Path) -> tuple[Embed, int]:
    import torch
    from transformers import CLIPModel

    try:
        kind = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
        if kind != "clip":
            raise ValueError(f"config.json is of a {quoted(kind)}")
        model, loaded = CLIPModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise OptionsError(f"{folder} holds neither model.onnx nor a transformers CLIP: {error}") from error
    if loaded["missing_keys"]:  # they would be random numbers
        raise OptionsError(
            f"the CLIP in {folder} lacks weights, for example {quoted(sorted(loaded['missing_keys'])[0])}"
        )
    model.eval()

    @torch.no_grad()
    def embed(ids: Array, pixels: Array) -> tuple[Array, Array]:
        result = model(input_ids=torch.from_numpy(ids), pixel_values=torch.from_numpy(pixels))
        return result.text_embeds.numpy(), result.image_embeds.numpy()

    return embed, int(model.config.text_config.max_position_embeddings)
