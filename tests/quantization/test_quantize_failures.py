"""What cannot be quantized is told in one clear error, and nothing is left behind."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest

from amused_edge.quantization.errors import QuantizationError, RecipeError
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import AmusedEdgeError, BundleError, OptionsError, OutputExistsError

ONE = QuantizeOptions(["a fox"], calibration_prompts=1, fidelity_prompts=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    return folder


def test_a_quantized_bundle(tiny_bundle: Bundle, place: Path) -> None:
    made = quantize_bundle(tiny_bundle.path, place / "w8", "w8", ONE)
    before = sorted(place.iterdir())
    with pytest.raises(QuantizationError, match=r"is quantized already \(recipe 'w8'\).*amused-edge export"):
        quantize_bundle(made.path, place / "twice", "w8", ONE)
    assert sorted(place.iterdir()) == before


def test_no_bundle(place: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        quantize_bundle(place, place / "out", "w8", ONE)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("w3", "there is no recipe 'w3'; choose fp16, w8, w8a8"),
        ("nowhere.json", "cannot read the recipe nowhere.json: No such file"),
        (
            Recipe("mine", (Rule("denoiser/typo.*", bits=8, block=32),)),
            r"the pattern 'denoiser/typo\.\*' matches no weight",
        ),
    ],
)
def test_a_recipe_that_does_not_fit(tiny_bundle: Bundle, place: Path, recipe: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        quantize_bundle(tiny_bundle.path, place / "out", recipe, ONE)
    assert list(place.iterdir()) == []


def test_a_recipe_file_without_its_calibration(tiny_bundle: Bundle, place: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    rule = {"tensors": "image_decoder/*", "operator": "conv", "bits": 8, "activations": "static"}
    file.write_text(json.dumps({"name": "mine", "rules": [rule]}))
    with pytest.raises(RecipeError, match=r"mine\.json: recipe 'mine' needs a calibration"):
        quantize_bundle(tiny_bundle.path, place / "out", file, ONE)
    assert list(place.iterdir()) == []


def test_prompts_that_are_one_text(tiny_bundle: Bundle) -> None:
    """Its letters would be taken for prompts."""
    with pytest.raises(OptionsError, match="prompts is 'a fox'"):
        QuantizeOptions("a fox")


@pytest.mark.parametrize("recipe", ["fp16", "w8", "w8a8", "w4"])
def test_weights_that_are_not_finite(tiny_bundle: Bundle, place: Path, tmp_path: Path, recipe: str) -> None:
    source = tmp_path / "damaged"
    shutil.copytree(tiny_bundle.path, source)
    name = "transformer_layers.1.attn2.to_q.weight"
    poison(source, "denoiser", name)
    with pytest.raises(BundleError, match=rf"{name}.* not finite"):
        quantize_bundle(source, place / "out", recipe, ONE)
    assert list(place.iterdir()) == []


def poison(folder: Path, role: str, name: str) -> None:
    """Put a NaN into a weight, and make the manifest agree with the file."""
    tensor = onnx_ir.load(folder / f"{role}.onnx").graph.initializers[name].const_value
    assert isinstance(tensor, onnx_ir.ExternalTensor)
    data = folder / f"{role}.onnx.data"
    content = bytearray(data.read_bytes())
    content[tensor.offset : tensor.offset + 4] = np.float32(np.nan).tobytes()  # type: ignore[operator]
    data.unlink()
    data.write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["graphs"][role]["files"][1]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("taken", ["out", "out.account.json", "out.account.md"])
def test_a_place_that_is_taken(tiny_bundle: Bundle, place: Path, taken: str) -> None:
    (place / taken).write_text("mine")
    with pytest.raises(OutputExistsError, match=f"{taken} exists"):
        quantize_bundle(tiny_bundle.path, place / "out", "w8", ONE)
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [(taken, "mine")]


def test_a_full_disk(tiny_bundle: Bundle, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(model: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"half a gra")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(onnx_ir, "save", save)
    with pytest.raises(BundleError, match=r"the disk is full: cannot write .*/out; nothing was kept"):
        quantize_bundle(tiny_bundle.path, place / "out", "w8", ONE)
    assert list(place.iterdir()) == []


def test_a_disk_that_is_full_at_the_very_end(tiny_bundle: Bundle, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's first file is written, its second is not: neither it nor the bundle stays."""
    open_file = Path.open

    def fail(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name.startswith(".out.account.md."):
            assert (place / "out.account.json").exists()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_file(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(AmusedEdgeError, match=r"cannot write .*out\.account\.md: No space left"):
        quantize_bundle(tiny_bundle.path, place / "out", "w8", ONE)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("stage", ["calibrating", "quantizing denoiser", "measuring"])
def test_an_interrupt(tiny_bundle: Bundle, place: Path, stage: str) -> None:
    def stop(description: str, index: int, total: int) -> None:
        if description == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_bundle(tiny_bundle.path, place / "out", "w8a8", ONE, on_stage=stop)
    assert list(place.iterdir()) == []


def test_stages_are_told_in_order(tiny_bundle: Bundle, place: Path) -> None:
    told: list[tuple[int, int]] = []
    record: Callable[[str, int, int], None] = lambda _, index, total: told.append((index, total))  # noqa: E731
    quantize_bundle(tiny_bundle.path, place / "out", "w8a8", ONE, on_stage=record)
    assert [index for index, _ in told] == sorted(index for index, _ in told)
    assert {index for index, _ in told} == set(range(7))
    assert {total for _, total in told} == {7}
