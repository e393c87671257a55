"""Stand-in checkpoints: the published sizes, and files that the reference itself can load."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers import UVit2DModel, VQModel
from transformers import CLIPTextModelWithProjection

from amused_edge.export.checkpoint import standin
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.modules.conditioner import Conditioner
from amused_edge.export.modules.configs import TextConfig, UVitConfig, VQGanConfig, parse_config
from amused_edge.export.modules.shapes import text_shapes, uvit_shapes, vqgan_shapes
from amused_edge.export.modules.tensors import declared_shapes
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from tests.support.checkpoints import TINY_TEXT, TINY_UVIT, TINY_VQGAN

MILLION = 1e6


def count(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> float:
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(prefix)) / MILLION


@pytest.mark.parametrize(("name", "parameters"), [("amused-256", 603.5), ("amused-512", 608.3)])
def test_uvits_have_the_published_size(name: str, parameters: float) -> None:
    uvit, vqgan = standin.CONFIGS[name]
    assert count(uvit_shapes(uvit)) == pytest.approx(parameters, abs=0.05)
    assert uvit.sample_size * vqgan.factor == int(name.removeprefix("amused-"))
    assert uvit.downsample == (name == "amused-512")


def test_the_conditioner_has_its_documented_share() -> None:
    uvit, _ = standin.CONFIGS["amused-256"]
    shapes = declared_shapes(lambda t: Conditioner(uvit, t))
    projections = {name: shape for name, shape in shapes.items() if len(shape) == 2}
    assert count(projections) == pytest.approx(216.8, abs=0.05)
    assert count(shapes) - count(projections) < 0.1  # norm weights that were folded in


@pytest.mark.parametrize("name", standin.CONFIGS)
def test_vqgans_have_the_published_size(name: str) -> None:
    shapes = vqgan_shapes(standin.CONFIGS[name][1])
    assert count(shapes) == pytest.approx(146.2, abs=0.05)
    assert count(shapes, "encoder.") == pytest.approx(58.7, abs=0.05)
    assert count(shapes, "decoder.") == pytest.approx(87.0, abs=0.05)


def test_the_text_encoder_has_the_published_size() -> None:
    config = parse_config(TextConfig, standin.TEXT_CONFIG, "TEXT_CONFIG")
    assert count(text_shapes(config)) == pytest.approx(123.65, abs=0.005)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    uvit = parse_config(UVitConfig, TINY_UVIT, "")
    vqgan = parse_config(VQGanConfig, TINY_VQGAN, "")
    monkeypatch.setitem(standin.CONFIGS, "tiny", (replace(uvit, downsample=True, upsample=True), vqgan))
    monkeypatch.setattr(standin, "TEXT_CONFIG", {**standin.TEXT_CONFIG, **TINY_TEXT})
    monkeypatch.setattr(standin, "MASK_TOKEN_ID", 39)
    return "tiny"


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_standin_is_a_whole_checkpoint(dtype: str, tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "new" / "standin"
    standin.write_standin(tiny, out, dtype=dtype)
    checkpoint = open_checkpoint(out)
    checkpoint.check()
    assert checkpoint.mask_token_id == 39
    (tmp_path / "tokenizer.json").write_text(checkpoint.tokenizer.json, encoding="utf-8")
    ids = PromptTokenizer(tmp_path / "tokenizer.json", 77)(["a red fox", ""])
    assert ids.max() == checkpoint.text.vocab_size - 1
    assert ids[1, :3].tolist() == [1112, 1113, 1113]


def test_the_reference_loads_it(tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "standin"
    standin.write_standin(tiny, out)
    uvit, report = UVit2DModel.from_pretrained(out / "transformer", output_loading_info=True)
    assert uvit.config.downsample
    assert not any(report.values())
    vqgan, report = VQModel.from_pretrained(out / "vqvae", output_loading_info=True)
    assert vqgan.config.lookup_from_codebook
    assert not any(report.values())
    _, report = CLIPTextModelWithProjection.from_pretrained(out / "text_encoder", output_loading_info=True)
    assert not any(report.values())


def test_a_seed_gives_the_same_bytes_and_another_one_does_not(tiny: str, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        standin.write_standin(tiny, tmp_path / name, seed=seed)
    one, again, other = (digests(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one.keys() == other.keys()
    differing = {name for name in one if one[name] != other[name]}
    assert differing == {name for name in one if name.endswith(".safetensors")}


def test_weights_are_of_a_size_that_keeps_activations_near_one(tiny: str, tmp_path: Path) -> None:
    standin.write_standin(tiny, tmp_path / "standin")
    weights = open_checkpoint(tmp_path / "standin")._transformer
    norm = weights.read("project_to_hidden_norm.weight")
    assert abs(norm.mean() - 1) < 0.1
    matrix = weights.read("project_to_hidden.weight")
    assert matrix.std().item() * matrix.shape[1] ** 0.5 == pytest.approx(1, abs=0.15)


def test_an_existing_folder_is_refused(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        standin.write_standin(tiny, tmp_path)
    assert list(tmp_path.iterdir()) == []
