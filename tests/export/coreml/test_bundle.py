"""What the packages of a Core ML bundle hold: weights, names, types, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.proto import Model_pb2
from numpy.typing import NDArray

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import TensorSpec
from amused_edge.runtime.engines.coreml.program import Program, read_program
from tests.support.packages import COMPONENTS, HALVES, POSITIONS, ROLES, weights_of
from tests.support.paths import ROOT

Array = NDArray[Any]


@pytest.fixture(scope="module")
def tiny(tiny_coreml: Path) -> Bundle:
    return Bundle.open(tiny_coreml)


def package(bundle: Bundle, role: str) -> Path:
    return bundle.path / f"{role}.mlpackage"


@pytest.fixture(scope="module")
def programs(tiny: Bundle) -> dict[str, Program]:
    return {role: read_program(package(tiny, role)) for role in ROLES}


def as_matrix(value: Array) -> Array:
    """The checkpoint's tensor as one matrix (out, in), patches' entries in the order (row, column, channel)."""
    if value.ndim == 4 and value.shape[2:] == (2, 2):
        return value.transpose(0, 2, 3, 1).reshape(len(value), -1)
    return value.reshape(value.shape[:2]) if value.shape[2:] == (1, 1) else value


@pytest.mark.parametrize("component", ["text_encoder", "transformer", "vqvae"])
def test_every_matrix_of_the_checkpoint_is_there_under_its_name(
    component: str, tiny: Bundle, programs: dict[str, Program]
) -> None:
    """With its values, rounded to halves; alone, or where the manifest says that it was folded with others."""
    roles = [role for role in ROLES if COMPONENTS[role] == component]
    folded = {source for role in roles for sources in tiny.graph(role).derived_tensors.values() for source in sources}
    for name, value in weights_of(tiny.path, component).items():
        found = [(role, programs[role].constants.get(name.replace(".", "_"))) for role in roles]
        held = [(role, constant) for role, constant in found if constant is not None]
        if value.ndim > 1 and not name.endswith(("gamma", "beta")) and name != POSITIONS:
            assert held or name in folded, name
        for role, constant in held:
            dtype = np.float16 if role in HALVES else np.float32
            matrix = as_matrix(value)
            assert constant.stored == "const"
            assert constant.value.dtype == dtype
            assert any(np.array_equal(constant.value, form.astype(dtype)) for form in (value, matrix, matrix.T)), name


def test_folded_matrices_hold_the_checkpoints_values(tiny: Bundle, programs: dict[str, Program]) -> None:
    source = "transformer_layers.0.ff.net.0.proj.weight"
    values_and_gates = np.split(weights_of(tiny.path, "transformer")[source], 2)
    for part, expected in zip(("value", "gate"), values_and_gates, strict=True):
        name = f"transformer_layers_0_ff_net_0_{part}_weight"
        assert np.array_equal(programs["denoiser"].constants[name].value, expected.astype(np.float16))
        assert tiny.graph("denoiser").derived_tensors[name] == (source,)
    known = weights_of(tiny.path, "vqvae")
    kernel = known["post_quant_conv.weight"][..., 0, 0].astype(np.float64)
    table = known["quantize.embedding.weight"] @ kernel.T + known["post_quant_conv.bias"]
    np.testing.assert_allclose(programs["image_decoder"].constants["code_table"].value, table, atol=1e-6)


def test_positions_keep_their_values(tiny: Bundle, programs: dict[str, Program]) -> None:
    table = weights_of(tiny.path, "text_encoder")[POSITIONS]
    constants = [constant.value for constant in programs["text_encoder"].constants.values()]
    assert any(value.shape == (1, *table.shape) and np.array_equal(value[0], table.astype(np.float16))
               for value in constants)  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_the_manifest_and_the_package_say_the_same(role: str, tiny: Bundle, programs: dict[str, Program]) -> None:
    entry, program = tiny.graph(role), programs[role]
    dtypes = {"fp16": "float16", "fp32": "float32", "int32": "int32"}
    for specs, values in ((entry.inputs, program.inputs), (entry.outputs, program.outputs)):
        for spec, value in zip(specs, values, strict=True):
            if spec.layout == "picture":
                assert value.name in program.pictures
                assert value.shape == (1, 3, 8, 12)
            else:
                assert (spec.name, spec.dtype, spec.shape) == (value.name, dtypes[value.dtype], value.shape)
    assert program.system == "iOS17"
    assert (tiny.manifest.engine.name, tiny.manifest.engine.version) == ("coreml", "iOS 17")
    assert tiny.manifest.engine.oldest_tried == "none"
    assert entry.stored_precision == ("float16" if role in HALVES else "float32")


def test_types_and_layouts_are_the_documented_ones(tiny: Bundle) -> None:
    graphs = tiny.manifest.graphs
    picture = TensorSpec("image", "uint8", (1, 8, 12, 3), "picture")
    tokens = TensorSpec("tokens", "int32", (1, 4, 6))
    assert graphs["text_encoder"].inputs == (TensorSpec("input_ids", "int32", (1, 77)),)
    assert graphs["conditioner"].inputs[:2] == graphs["text_encoder"].outputs
    assert graphs["conditioner"].inputs[2] == TensorSpec("micro_conditions", "float32", (1, 5))
    assert graphs["denoiser"].inputs == (tokens, *graphs["conditioner"].outputs)
    assert graphs["denoiser"].outputs == (TensorSpec("logits", "float32", (1, 24, 32)),)
    assert {spec.dtype for spec in graphs["conditioner"].outputs + graphs["text_encoder"].outputs} == {"float16"}
    assert (graphs["image_decoder"].inputs, graphs["image_decoder"].outputs) == ((tokens,), (picture,))
    assert (graphs["image_encoder"].inputs, graphs["image_encoder"].outputs) == ((picture,), (tokens,))


ISLANDS = {
    "text_encoder": {"cast", "add", "softmax"},  # the mask and what follows it
    "conditioner": {"cast", "pow", "reduce_mean", "add", "sqrt", "real_div", "expand_dims", "mul", "cos", "sin",
                    "concat", "reshape"},
    "denoiser": {"cast", "pow", "reduce_mean", "reduce_sum", "add", "sqrt", "real_div"},
}  # fmt: skip
ALWAYS_FLOAT32 = {"pow", "reduce_mean", "reduce_sum", "sqrt", "real_div", "cos", "sin"}


@pytest.mark.parametrize("role", HALVES)
def test_halves_have_the_documented_float32_islands_and_no_more(role: str, programs: dict[str, Program]) -> None:
    kinds: dict[str, set[str]] = {"fp16": set(), "fp32": set()}
    for op in programs[role].operations:
        kinds.setdefault(op.outputs[0].dtype, set()).add(op.operator)
    assert kinds["fp32"] <= ISLANDS[role]
    assert not kinds["fp16"] & ALWAYS_FLOAT32
    assert {"linear"} <= kinds["fp16"]
    if role != "text_encoder":
        assert {"pow", "reduce_mean", "sqrt", "real_div"} <= kinds["fp32"]
    assert {"cos", "sin"} <= kinds["fp32"] or role != "conditioner"
    assert "reduce_sum" in kinds["fp32"] or role != "denoiser"


@pytest.mark.parametrize("role", ["image_decoder", "image_encoder"])
def test_the_vqgan_has_no_halves(role: str, programs: dict[str, Program]) -> None:
    assert not [op.name for op in programs[role].operations if any(v.dtype == "fp16" for v in op.outputs)]
    assert not [name for name, constant in programs[role].constants.items() if constant.value.dtype == np.float16]


def test_files_are_those_of_the_manifest_and_no_other(tiny: Bundle) -> None:
    """coremltools leaves a file for debuggers beside the model."""
    listed = {entry.path for entry in tiny.manifest.all_files()} | {"manifest.json", "README.md"}
    assert {file.relative_to(tiny.path).as_posix() for file in tiny.path.rglob("*") if file.is_file()} == listed
    for role in ROLES:
        names = [file.path.removeprefix(f"{role}.mlpackage/") for file in tiny.graph(role).files]
        data = "Data/com.apple.CoreML"
        assert names == ["Manifest.json", f"{data}/model.mlmodel", f"{data}/weights/weight.bin"]


def test_files_tell_nothing_about_the_machine_that_made_them(tiny: Bundle, tmp_path: Path) -> None:
    forbidden = ["site-packages", "stack_trace", "Traceback", ".py", "/usr", "torch.nn", "/tmp/", "partial"]
    forbidden += [f"{Path.home()}/", str(ROOT), str(tmp_path.parent), tiny.path.parent.name]
    for entry in tiny.manifest.all_files():
        if not entry.path.endswith(("weight.bin", "tokenizer.json")):
            content = tiny.file(entry).read_bytes()
            assert not [text for text in forbidden if text.encode() in content], entry.path
    manifest = (tiny.path / "manifest.json").read_text(encoding="utf-8")
    assert not [text for text in forbidden if text in manifest]


def test_pictures_are_images_for_core_ml(tiny: Bundle) -> None:
    for role, feature in (("image_decoder", "output"), ("image_encoder", "input")):
        model = Model_pb2.Model()
        model.ParseFromString((package(tiny, role) / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
        assert model.specificationVersion == 8  # iOS 17
        (image,) = getattr(model.description, feature)
        kind = image.type.imageType
        assert (kind.width, kind.height, kind.colorSpace) == (12, 8, kind.RGB)
