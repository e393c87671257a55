"""Puts values into the weights of a bundle, whose hashes and golden output then fit, as if it had been made so."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import GOLDEN_PROMPT
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.pipeline import AmusedPipeline

Change = Callable[[NDArray[Any]], None]


def change_onnx(folder: Path, role: str, name: str, change: Change) -> None:
    """Change an initializer of a graph in place."""
    path = folder / f"{role}.onnx"
    model = ir.load(path)
    ir.external_data.load_to_model(model)
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    values = tensor.numpy().copy()
    change(values)
    model.graph.initializers[name].const_value = ir.tensor(values, name=name)
    ir.save(model, path, external_data=f"{path.name}.data", size_threshold_bytes=1024)
    agree(folder)


def change_coreml(folder: Path, role: str, name: str, change: Change) -> None:
    """Change a constant of a package in place."""
    from amused_edge.runtime.engines.coreml.package import package
    from amused_edge.runtime.engines.coreml.program import read_program

    place = package(Bundle.open(folder), role)
    values = read_program(place).constants[name].value.copy()
    weights = place / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    content = weights.read_bytes()
    assert content.count(values.tobytes()) == 1
    changed = values.copy()
    change(changed)
    weights.write_bytes(content.replace(values.tobytes(), changed.tobytes()))
    agree(folder)


def change_coreai(folder: Path, role: str, name: str, change: Change) -> None:
    """Change a constant of a package in place."""
    from amused_edge.runtime.engines.coreai.constants import stored_floats
    from amused_edge.runtime.engines.coreai.package import package

    place = package(Bundle.open(folder), role)
    values = np.array(dict(stored_floats(place))[name])
    program = place / "main.mlirb"
    content = program.read_bytes()
    assert content.count(values.tobytes()) == 1
    changed = values.copy()
    change(changed)
    program.write_bytes(content.replace(values.tobytes(), changed.tobytes()))
    agree(folder)


def renew_golden(folder: Path, engine: EngineOptions | None = None) -> None:
    """Store what the bundle draws now, whatever that is."""
    with AmusedPipeline(Bundle.open(folder), engine or EngineOptions()) as pipeline:
        text = golden_check.draw(pipeline, GOLDEN_PROMPT).to_json()
    (folder / "golden.json").write_text(text, encoding="utf-8")
    agree(folder)


def agree(folder: Path) -> None:
    """Make the manifest's hashes and sizes those of the files."""

    def visit(node: Any) -> None:
        if isinstance(node, dict) and {"path", "sha256"} <= node.keys():
            content = (folder / node["path"]).read_bytes()
            node["sha256"], node["bytes"] = hashlib.sha256(content).hexdigest(), len(content)
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            visit(child)

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    visit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def nan_first(values: NDArray[Any]) -> None:
    """Make the first value NaN."""
    values.reshape(-1)[0] = np.nan
