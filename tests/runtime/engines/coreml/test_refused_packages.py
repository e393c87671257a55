"""Packages that are damaged, or read from elsewhere, are refused in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813  as in all of its documentation

from amused_edge.runtime.engines.coreml.program import check_package, read_program
from amused_edge.runtime.errors import BundleError
from tests.support.coreml_program import WEIGHT, data, edit_model

SaveProgram = Callable[..., Path]


def operations(spec: Any) -> Any:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return block.operations


def set_blobs(spec: Any, **fields: Any) -> None:
    for op in operations(spec):
        for value in op.attributes.values():
            if value.blobFileValue.fileName:
                for name, changed in fields.items():
                    setattr(value.blobFileValue, name, changed)


def write(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "weights cut in half": lambda p: write(data(p) / "weights/weight.bin", lambda b: b[: len(b) // 2]),
    "weights without their last byte": lambda p: write(data(p) / "weights/weight.bin", lambda b: b[:-1]),
    "empty weights": lambda p: write(data(p) / "weights/weight.bin", lambda _: b""),
    "no weights": lambda p: (data(p) / "weights/weight.bin").unlink(),
    "no weights folder": lambda p: shutil.rmtree(data(p) / "weights"),
    "model overwritten": lambda p: write(data(p) / "model.mlmodel", lambda b: b"\xff" * len(b)),
    "model cut in half": lambda p: write(data(p) / "model.mlmodel", lambda b: b[: len(b) // 2]),
    "empty model": lambda p: write(data(p) / "model.mlmodel", lambda _: b""),
    "no model": lambda p: (data(p) / "model.mlmodel").unlink(),
    "no package": shutil.rmtree,
    "offset past the end": lambda p: edit_model(p, lambda s: set_blobs(s, offset=2**40)),
    "offset of another tensor": lambda p: edit_model(p, lambda s: set_blobs(s, offset=64)),
    "an operation of no system": lambda p: edit_model(p, lambda s: setattr(operations(s)[-1], "type", "conjure")),
    "a system of the future": lambda p: edit_model(p, lambda s: setattr(s, "specificationVersion", 999)),
    "no main function": lambda p: edit_model(p, lambda s: s.mlProgram.functions.pop("main")),
    "a neural network": lambda p: edit_model(p, lambda s: s.neuralNetwork.layers.add()),
}


def refusal(package: Path) -> str:
    with pytest.raises(BundleError) as error:
        read_program(package)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_package_is_refused(package: Path, damage: str) -> None:
    DAMAGES[damage](package)
    message = refusal(package)
    assert message.startswith(f"{package} is no Core ML package that can be read (")
    assert message.endswith("); copy the bundle again")


@pytest.mark.parametrize("name", ["/etc/passwd", "@model_path/../../../other.bin", "@model_path/weights/other.bin"])
def test_weights_in_another_file_are_refused(package: Path, name: str) -> None:
    edit_model(package, lambda spec: set_blobs(spec, fileName=name))
    assert f"reads weights from {name!r}, outside of it; do not use this bundle" in refusal(package)


def test_a_listing_that_leads_out_of_the_package_is_not_followed(package: Path) -> None:
    """The package's own manifest says where its model and weights lie; they are read from inside all the same."""
    elsewhere = Path(shutil.copytree(data(package), package.parent / "elsewhere"))
    write(elsewhere / "weights/weight.bin", lambda b: b[:-480] + bytes(480))
    listing = json.loads((package / "Manifest.json").read_text())
    for item in listing["itemInfoEntries"].values():
        item["path"] = item["path"].replace("com.apple.CoreML", "../../elsewhere")
    (package / "Manifest.json").write_text(json.dumps(listing))
    program = read_program(package)
    assert np.array_equal(program.constants[program.operations[0].arguments["weight"].name].value, WEIGHT)


def _in_a_branch(spec: Any) -> Any:
    (branch,) = (op for op in operations(spec) if op.type == "cond")
    return next(op for op in branch.blocks[0].operations if op.attributes["val"].blobFileValue.fileName).attributes[
        "val"
    ]


def _in_another_function(spec: Any) -> Any:
    spec.mlProgram.functions["other"].CopyFrom(spec.mlProgram.functions["main"])
    return spec.mlProgram.functions["other"].attributes["x"]


def _in_a_dictionary(spec: Any) -> Any:
    return operations(spec)[0].attributes["x"].immediateValue.dictionary.values.add().value


@pytest.mark.parametrize("place", [_in_a_branch, _in_another_function, _in_a_dictionary])
def test_weights_in_another_file_are_refused_wherever_they_are_named(
    save_program: SaveProgram, place: Callable[[Any], Any]
) -> None:
    """Only the operations of `main` itself were looked at."""

    def branches(x: Any) -> Any:
        above = mb.greater(x=mb.reduce_max(x=x, axes=[0, 1], keep_dims=False), y=np.float32(0.5))
        weights = (WEIGHT, WEIGHT[::-1])
        one, other = (lambda weight=weight: mb.linear(x=x, weight=weight) for weight in weights)
        return mb.cond(pred=above, _true_fn=one, _false_fn=other, name="y")

    package = save_program(branches, (3, 40))
    assert read_program(package).operations[-1].operator == "cond"
    edit_model(package, lambda spec: setattr(place(spec).blobFileValue, "fileName", "/etc/passwd"))
    assert "reads weights from '/etc/passwd', outside of it; do not use this bundle" in refusal(package)


def _other_part(manifest: dict[str, Any]) -> None:
    manifest["itemInfoEntries"]["more"] = {"path": "../../../elsewhere"}


def _other_model(manifest: dict[str, Any]) -> None:
    root = manifest["rootModelIdentifier"]
    manifest["rootModelIdentifier"] = next(name for name in manifest["itemInfoEntries"] if name != root)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_other_part, "has the part '../../../elsewhere', outside of it"),
        (_other_model, "has another model"),
        (dict.clear, "no Core ML package that can be read"),
    ],
)
def test_parts_that_apples_compiler_would_follow(
    package: Path, edit: Callable[[dict[str, Any]], None], words: str
) -> None:
    check_package(package)
    manifest = json.loads((package / "Manifest.json").read_text())
    edit(manifest)
    (package / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=words):
        check_package(package)
