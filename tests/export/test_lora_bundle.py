"""LoRAs added to a finished bundle, beside an export of the checkpoint with the same LoRAs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amused_edge.export.bundle_export import export_bundle
from amused_edge.export.checkpoint.lora.source import LoraSource
from amused_edge.export.errors import LoraError
from amused_edge.export.lora_bundle import add_loras
from amused_edge.export.stored_weights import find_weights
from amused_edge.runtime import AmusedPipeline, EngineOptions, golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import Manifest
from tests.support.loras import EVERYTHING, save_as_diffusers, trained, trained_text
from tests.support.paths import ROOT
from tests.support.tiny_export import TINY_OPTIONS, TinyExport

DEMO_LORA = ROOT / "demo" / "lora"


@pytest.fixture
def loras(tiny_export: TinyExport, tmp_path: Path) -> tuple[LoraSource, ...]:
    """Two, of every kind of layer and of the text encoder."""
    checkpoint = tiny_export.checkpoint.folder
    text = trained_text(checkpoint, r=2, lora_alpha=2)
    one = save_as_diffusers(tmp_path / "one", trained(checkpoint, targets=EVERYTHING, r=3, lora_alpha=3), text)
    two = save_as_diffusers(tmp_path / "two", trained(checkpoint, seed=2, r=1, lora_alpha=1))
    return LoraSource(str(one), 0.75), LoraSource(str(two), -0.5)


def test_the_bundle_is_that_of_an_export_to_the_last_bit(
    tiny_export: TinyExport, loras: tuple[LoraSource, ...], tmp_path: Path
) -> None:
    """One after the other, too. What was measured of the parent is not said of the new bundle."""
    parent = tiny_export.bundle
    options = replace(TINY_OPTIONS, loras=loras, lora_scale=1.5)
    exported = export_bundle(tiny_export.checkpoint.folder, tmp_path / "exported", options)
    first = add_loras(parent.path, tmp_path / "first", loras[:1], lora_scale=1.5)
    added = add_loras(first.path, tmp_path / "added", loras[1:], lora_scale=1.5)
    for role in ("text_encoder", "conditioner", "denoiser"):
        assert added.graph(role).files == exported.graph(role).files
        assert added.graph(role).files[1] != parent.graph(role).files[1]
        assert added.graph(role).files[0] == parent.graph(role).files[0]
    assert added.golden.read_bytes() == exported.golden.read_bytes()
    assert added.manifest.parity is None
    tuned, before = added.manifest.fine_tuning, exported.manifest.fine_tuning
    assert tuned is not None
    assert before is not None
    assert tuned.loras == before.loras
    assert (tuned.parent, before.parent) == (first.sha256, None)
    assert Manifest.from_json(added.manifest.to_json()) == added.manifest
    assert "fine_tuning" not in json.loads(parent.manifest.to_json())


def test_halves_are_rounded_once_more(quantized_demo: Callable[[str], Path], demo_bundle: Path, tmp_path: Path) -> None:
    """Weights of the fp16 bundle beside those of the float32 one, with the same LoRA, computed in float64."""
    source = (LoraSource(str(DEMO_LORA)),)
    wide, halves = Bundle.open(demo_bundle), add_loras(quantized_demo("fp16"), tmp_path / "half", source)
    name = "transformer_layers.3.ff.net.0.gate.weight"
    before, after = (_values(bundle, name).astype(np.float64) for bundle in (wide, halves))
    stored = _lora_tensors()
    delta = stored["B"].astype(np.float64) @ stored["A"].astype(np.float64) * 2.0
    expected = before + delta[len(delta) // 2 :].T
    assert np.abs(after - expected).max() <= 2 * np.spacing(np.float16(np.abs(expected).max()))
    assert np.abs(delta).max() > 20 * np.abs(after - expected).max()
    made = halves.manifest.quantization
    assert made is not None
    assert (made.logits, made.pictures) == (None, None)
    verification.verify(halves)
    with AmusedPipeline(halves, EngineOptions()) as pipeline:
        assert golden_check.compare(pipeline).reproduced


def _values(bundle: Bundle, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.floating]]:
    (place,) = (place for places in find_weights(bundle).places.values() for place in places if place.name == name)
    count = place.shape[0] * place.shape[1]
    return np.fromfile(bundle.path / place.file, place.dtype, count, offset=place.offset).reshape(place.shape)


def _lora_tensors() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.floating]]]:
    from safetensors.numpy import load_file

    tensors = load_file(DEMO_LORA / "pytorch_lora_weights.safetensors")
    return {part: tensors[f"transformer_layers.3.ff.net.0.proj.lora_{part}.weight"] for part in "AB"}


def test_bundles_whose_weights_cannot_be_changed(tiny_export: TinyExport, tmp_path: Path) -> None:
    quantized = ROOT / "demo" / "bundle"
    parent = json.loads((quantized / "manifest.json").read_text())["quantization"]["parent"]
    with pytest.raises(LoraError, match=rf"quantized \(recipe 'w8'\).*float32 bundle.*{parent[:12]}.*then quantize"):
        add_loras(quantized, tmp_path / "out", [LoraSource(str(DEMO_LORA))])
    other = Path(shutil.copytree(tiny_export.bundle.path, tmp_path / "coreml"))
    (other / "manifest.json").write_text(replace(tiny_export.bundle.manifest, target="coreml").to_json())
    with pytest.raises(LoraError, match=r"is for Core ML.*export the checkpoint again, with --lora"):
        add_loras(other, tmp_path / "out", [LoraSource(str(DEMO_LORA))])
    assert not (tmp_path / "out").exists()


def test_what_is_folded_in_a_bundle(tiny_export: TinyExport, tmp_path: Path) -> None:
    """`embed.conv` is part of a table whose other factors a bundle does not hold; an export can add to it."""
    lora = save_as_diffusers(
        tmp_path / "lora", trained(tiny_export.checkpoint.folder, targets=["embed.conv"], r=2, lora_alpha=2)
    )
    with pytest.raises(LoraError, match=r"embed\.conv.*folded into embed\.table; export the checkpoint again"):
        add_loras(tiny_export.bundle.path, tmp_path / "out", [LoraSource(str(lora))])


def test_a_sum_beyond_the_range_of_halves(quantized_demo: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(LoraError, match="beyond the range of float16; give it less weight"):
        add_loras(quantized_demo("fp16"), tmp_path / "out", _huge(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def _huge(folder: Path) -> list[LoraSource]:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(DEMO_LORA / "pytorch_lora_weights.safetensors")
    save_file({key: value * np.float16(100) for key, value in tensors.items()}, folder / "huge.safetensors")
    return [LoraSource(str(folder / "huge.safetensors"), 1000.0)]


def test_no_torch_is_loaded() -> None:
    code = "import sys, amused_edge.export.lora_bundle; print({'torch', 'onnx', 'onnx_ir'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
