"""CLIP scores against transformers' own CLIP, tiny and random, and ONNX files whose embeddings are known."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, CLIPTextModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from amused_edge.benchmarks.quality.instruments.clip_score import ClipScorer
from amused_edge.runtime.errors import OptionsError
from tests.support.checkpoints import randomize
from tests.support.picture_models import FLOAT, INT64, pictures, save_model

WORDS = ("<start>", "a", "fox", "panda", "on", "the", "moon", "?", "<end>")
EDGE, LENGTH = 20, 10
SHORT, LONG = "a fox", "a panda on the moon on the moon on the moon on the moon"
PREPROCESSING: dict[str, Any] = {
    "size": {"shortest_edge": EDGE},
    "crop_size": {"height": EDGE, "width": EDGE},
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
}


def save_texts(folder: Path, preprocessing: dict[str, Any] = PREPROCESSING) -> Path:
    """Write a tokenizer that pads and cuts, as published ones do, and how pictures are prepared."""
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[(word, WORDS.index(word)) for word in ("<start>", "<end>")]
    )
    tokenizer.enable_padding(length=15, pad_id=8)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def ids(prompt: str, length: int = LENGTH) -> list[int]:
    """Start, words, end: cut so that the end stays."""
    words = [WORDS.index(word) for word in prompt.split()]
    return [0, *words[: length - 2], 8]


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


# --- A transformers model.


@cache
def tiny_clip() -> CLIPModel:
    tower = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(WORDS), "max_position_embeddings": LENGTH, "bos_token_id": 0, "eos_token_id": 8}
    vision = {**tower, "image_size": EDGE, "patch_size": 5}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    randomize(model, seed=0)
    with torch.no_grad():  # this seed's texts and pictures point away from each other, and every score would be 0
        model.text_projection.weight.neg_()
    return model


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    folder = save_texts(tmp_path_factory.mktemp("clip"))
    tiny_clip().save_pretrained(folder)
    return ClipScorer(folder)


def transformers_score(prompt: str, image: Any) -> float:
    pixels = CLIPImageProcessorPil(**PREPROCESSING)(Image.fromarray(image), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        result = tiny_clip()(input_ids=torch.tensor([ids(prompt)]), pixel_values=pixels)
    return 100 * max(0.0, cosine(result.text_embeds, result.image_embeds))


@pytest.mark.parametrize("size", [(20, 20), (64, 64), (12, 12), (40, 60), (33, 20), (31, 47), (21, 45)], ids=str)
def test_scores_are_those_of_transformers(scorer: ClipScorer, size: tuple[int, int]) -> None:
    """Pictures of any shape, prepared by its own preparation; a prompt longer than the model takes is cut."""
    images = pictures(3, *size) + [image // 4 for image in pictures(3, *size)]
    prompts = [SHORT, LONG, "a panda", "", "the moon", "fox on fox"]
    expected = [transformers_score(prompt, image) for prompt, image in zip(prompts, images, strict=True)]
    assert min(expected) > 5
    assert scorer(prompts, images) == pytest.approx(expected, abs=0.01)


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    """A text encoder alone, saved under the whole model's settings: transformers makes up random weights and only
    warns; scores would mean nothing.
    """
    folder = save_texts(tmp_path / "clip")
    tiny_clip().save_pretrained(folder)
    CLIPTextModel(tiny_clip().config.text_config).save_pretrained(tmp_path / "text")
    (tmp_path / "text" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(OptionsError, match="CLIP"):
        ClipScorer(folder)


# --- An ONNX file. The text's embedding is the sum of its words' rows, the picture's the mean of its pixels.

TABLE = np.random.default_rng(7).standard_normal((len(WORDS), 3)).astype(np.float32)


def save_onnx(folder: Path, length: int | str, *, mask: bool) -> Path:
    nodes: list[Any] = [("Gather", ["table", "input_ids"], "rows", {})]
    rows = "rows"
    if mask:
        nodes += [
            ("Cast", ["attention_mask"], "floats", {"to": FLOAT}),
            ("Unsqueeze", ["floats", "last"], "weights", {}),
            ("Mul", ["rows", "weights"], "masked", {}),
        ]
        rows = "masked"
    nodes += [
        ("ReduceSum", [rows, "middle"], "text_embeds", {"keepdims": 0}),
        ("ReduceMean", ["pixel_values", "sides"], "image_embeds", {"keepdims": 0}),
    ]
    inputs = [("input_ids", INT64, ["b", length]), ("pixel_values", FLOAT, ["b", 3, EDGE, EDGE])]
    outputs = [(name, FLOAT, ["b", 3]) for name in ("text_embeds", "image_embeds")]
    axes = {"last": np.array([2]), "middle": np.array([1]), "sides": np.array([2, 3])}
    used = {name: axes[name] for name in axes if mask or name != "last"}
    save_texts(folder)
    more = [("attention_mask", INT64, ["b", length])] if mask else []
    save_model(folder / "model.onnx", nodes, [*inputs, *more], outputs, {"table": TABLE, **used})
    return folder


def prepared(image: Any) -> Any:
    return (image.mean((0, 1)) / 255 - PREPROCESSING["image_mean"]) / PREPROCESSING["image_std"]


def known_score(tokens: list[int], image: Any) -> float:
    return 100 * max(0.0, cosine(TABLE[tokens].sum(axis=0), prepared(image)))


@pytest.mark.parametrize("mask", [True, False])
def test_prompts_keep_their_length_where_the_model_takes_any(tmp_path: Path, mask: bool) -> None:
    images = pictures(3, EDGE, EDGE) + [picture // 4 for picture in pictures(2, EDGE, EDGE)]
    prompts = [SHORT, LONG, "", "panda", "the moon on a fox"]
    expected = [known_score(ids(p, 77), image) for p, image in zip(prompts, images, strict=True)]
    assert max(expected) > 5
    assert ClipScorer(save_onnx(tmp_path / "clip", "length", mask=mask))(prompts, images) == pytest.approx(
        expected, abs=0.01
    )


@pytest.mark.parametrize("mask", [True, False])
def test_prompts_are_filled_up_with_the_last_token_where_the_length_is_fixed(tmp_path: Path, mask: bool) -> None:
    """Filling is masked, where the model has a mask; a prompt too long is cut before its end token."""
    images = pictures(3, EDGE, EDGE)
    tokens = [ids(prompt) for prompt in (SHORT, LONG, "")]
    assert [len(each) for each in tokens] == [4, LENGTH, 2]
    fed = tokens if mask else [each + [8] * (LENGTH - len(each)) for each in tokens]
    expected = [known_score(each, image) for each, image in zip(fed, images, strict=True)]
    found = ClipScorer(save_onnx(tmp_path / "clip", LENGTH, mask=mask))([SHORT, LONG, ""], images)
    assert found == pytest.approx(expected, abs=0.01)


def test_a_picture_that_fits_its_prompt_has_100_and_one_that_does_not_has_0(tmp_path: Path) -> None:
    """A flat picture whose prepared colour is the text's embedding, and one whose is the opposite."""
    embedding = TABLE[ids(SHORT, 77)].sum(axis=0)
    colours = [
        255 * (sign * 0.4 * embedding / abs(embedding).max() * PREPROCESSING["image_std"] + PREPROCESSING["image_mean"])
        for sign in (1, -1)
    ]
    images = [np.full((EDGE, EDGE, 3), colour.round(), np.uint8) for colour in colours]
    found = ClipScorer(save_onnx(tmp_path / "clip", "length", mask=True))([SHORT, SHORT], images)
    assert found == pytest.approx([100.0, 0.0], abs=0.2)


# --- What is no CLIP.


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", [None, "", "[]", "{}", "{"])
def test_a_file_that_is_missing_or_damaged_is_refused(tmp_path: Path, name: str, content: str | None) -> None:
    folder = save_onnx(tmp_path / "clip", "length", mask=True)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(OptionsError, match=r"clip holds no CLIP: .+"):
        ClipScorer(folder)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"holds neither model\.onnx nor a transformers CLIP"):
        ClipScorer(save_texts(tmp_path / "clip"))
    with pytest.raises(OptionsError, match="holds no CLIP"):
        ClipScorer(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_damaged_model_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = save_texts(tmp_path / "clip")
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(OptionsError, match="cannot load the CLIP model"):
        ClipScorer(folder)


def test_a_model_of_the_pictures_alone_is_refused(tmp_path: Path) -> None:
    folder = save_texts(tmp_path / "clip")
    nodes = [("ReduceMean", ["pixel_values", "sides"], "image_embeds", {"keepdims": 0})]
    inputs = [("pixel_values", FLOAT, ["b", 3, EDGE, EDGE])]
    outputs = [("image_embeds", FLOAT, ["b", 3])]
    save_model(folder / "model.onnx", nodes, inputs, outputs, {"sides": np.array([2, 3])})
    with pytest.raises(
        OptionsError, match=r"takes pixel_values \(tensor\(float\), 4 axes\) and gives image_embeds; it must take int64"
    ):
        ClipScorer(folder)
