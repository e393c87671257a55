"""The ends of what a manifest may say, its text by hand, and what was put over the weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.bundle.fine_tuning import FineTuning, LoraEntry
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import ROWS, TensorSpec
from amused_edge.runtime.bundle.manifest import Geometry, Manifest, MicroConditioning
from amused_edge.runtime.errors import BundleError, OptionsError

SIZES = {"image_height": 8, "image_width": 8, "grid_height": 4, "grid_width": 4, "text_length": 77}


def geometry(**sizes: int) -> Geometry:
    return Geometry(**{**SIZES, "codebook_size": 32, "mask_token_id": 32, **sizes})


@pytest.mark.parametrize("name", [*SIZES, "mask_token_id"])
def test_sizes_end_at_a_million(name: str) -> None:
    assert getattr(geometry(**{name: 2**20 - 1}), name) == 2**20 - 1
    for size in (2**20, 0, -1):
        with pytest.raises(BundleError, match=f"the geometry's {name} is {size}; it must be between 1 and 1048575"):
            geometry(**{name: size})


def test_the_mask_is_no_code() -> None:
    with pytest.raises(BundleError, match="mask_token_id 31 is one of the 32 codes"):
        geometry(mask_token_id=31)
    assert geometry(image_height=1, codebook_size=1).image_height == 1


@pytest.mark.parametrize("name", ["crop_top", "crop_left", "aesthetic_score"])
def test_micro_conditions_are_numbers_of_a_thousand_million_at_most(name: str) -> None:
    for good in (1e9, -1e9, np.float32(2.5), 3):
        found = getattr(MicroConditioning(**{name: good}), name)
        assert (found, type(found)) == (float(good), float)
    bad: list[Any] = [1.1e9, -1.1e9, float("nan"), True, "6", None, [1]]
    for value in bad:
        with pytest.raises(OptionsError, match=f"{name} is .*; it must be a number from -1e9 to 1e9"):
            MicroConditioning(**{name: value})


def test_which_version_says_that_rows_are_kept(small_bundle: Path) -> None:
    """The first, which every runtime reads, where none are; the second, which some refuse, where some are."""
    manifest = Bundle.open(small_bundle).manifest
    denoiser = manifest.graphs["denoiser"]
    rows = replace(denoiser, inputs=(*denoiser.inputs, TensorSpec(ROWS, "int64", (1, "computed"))))
    keeping = replace(manifest, graphs={**manifest.graphs, "denoiser": rows})
    for each, version in ((manifest, 1), (keeping, 2)):
        text = each.to_json()
        assert json.loads(text)["schema_version"] == version
        assert Manifest.from_json(text) == each
        with pytest.raises(BundleError, match="schema version 3"):
            Manifest.from_json(text.replace(f'"schema_version": {version}', '"schema_version": 3'))


def test_its_text(small_bundle: Path) -> None:
    """As Python writes JSON, with names as they are; what was put over the weights only where something was."""
    manifest = Bundle.open(small_bundle).manifest
    named = replace(manifest, model=replace(manifest.model, name="Füchslein 🦊"))
    content = json.loads((small_bundle / "manifest.json").read_text(encoding="utf-8"))
    content["model"]["name"] = "Füchslein 🦊"
    written = named.to_json()
    assert json.loads(written) == content
    assert written == json.dumps(json.loads(written), indent=1, ensure_ascii=False) + "\n"
    lora = LoraEntry("style", "ab" * 32, 0.5, (1.0,), (4,), 2)
    tuned = FineTuning(loras=(lora,), parent="cd" * 32)
    with_lora = replace(named, fine_tuning=tuned)
    assert Manifest.from_json(with_lora.to_json()) == with_lora
    assert json.loads(with_lora.to_json())["fine_tuning"]["loras"][0]["name"] == "style"


def test_what_a_bundle_is_optimized_for(small_bundle: Path) -> None:
    manifest = Bundle.open(small_bundle).manifest
    assert manifest.engine.optimize == "portable"
    for_cpus = replace(manifest, engine=replace(manifest.engine, optimize="cpu"))
    assert Manifest.from_json(for_cpus.to_json()) == for_cpus


def test_another_schema(small_bundle: Path) -> None:
    text = (small_bundle / "manifest.json").read_text(encoding="utf-8")
    with pytest.raises(BundleError, match=r"schema version 3, this amused-edge reads up to 2; upgrade"):
        Manifest.from_json(text.replace('"schema_version": 1', '"schema_version": 3'))


def test_its_files_and_their_size(small_bundle: Path) -> None:
    manifest = Bundle.open(small_bundle).manifest
    files = [path for path in small_bundle.iterdir() if path.name != "manifest.json"]
    assert {entry.path for entry in manifest.all_files()} == {path.name for path in files}
    assert manifest.bytes == sum(path.stat().st_size for path in files)
