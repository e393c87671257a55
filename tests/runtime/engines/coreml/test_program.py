"""Packages that coremltools' own builder made, read back as plain data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813  as in all of its documentation
from coremltools.converters.mil.mil import get_new_symbol, types
from numpy.typing import NDArray

from amused_edge.runtime.engines.coreml.evaluator import Machine
from amused_edge.runtime.engines.coreml.program import Constant, Name, Operation, Value, read_program
from amused_edge.runtime.engines.coreml.saving import converting, save_package
from amused_edge.runtime.errors import GraphError
from tests.support.coreml_program import BIAS, WEIGHT, edit_model, linear_block

SaveProgram = Callable[..., Path]


# --- What is whole is read as it stands.


def test_a_program_is_read_as_plain_data(package: Path) -> None:
    program = read_program(package)
    assert program.system == "iOS17"
    assert program.inputs == (Value("x", "fp32", (3, 40)),)
    assert program.outputs == (Value("y", "fp32", (3, 12)),)
    assert program.pictures == frozenset()
    project, add = program.operations
    assert (project.operator, project.name, project.outputs) == (
        "linear",
        "project",
        (Value("project", "fp32", (3, 12)),),
    )
    weight, bias = (program.constants[project.arguments[name].name] for name in ("weight", "bias"))
    assert (weight.stored, bias.stored) == ("const", "const")
    assert np.array_equal(weight.value, WEIGHT)
    assert np.array_equal(bias.value, BIAS)
    arguments = {"x": Name("project"), "y": float(np.float32(0.1))}
    assert add == Operation("add", "y", arguments, (Value("y", "fp32", (3, 12)),))


def test_a_program_that_was_read_can_be_computed(package: Path) -> None:
    x = np.random.default_rng(4).standard_normal((3, 40)).astype(np.float32)
    found = Machine(read_program(package), round_halves=True).run({"x": x})
    expected = x.astype(np.float64) @ WEIGHT.T.astype(np.float64) + BIAS + 0.1
    assert set(found) == {"y"}
    np.testing.assert_allclose(found["y"], expected, rtol=1e-5, atol=1e-5)


def test_reading_leaves_the_package_alone(package: Path) -> None:
    """coremltools' own way to open one writes into it."""

    def state() -> dict[Path, tuple[int, bytes]]:
        return {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in package.rglob("*") if f.is_file()}

    before = state()
    read_program(package)
    assert state() == before


def test_halves_texts_and_several_outputs(save_program: SaveProgram) -> None:
    def block(x: Any) -> Any:
        first, second = mb.split(x=x, axis=1, split_sizes=[1, 3], name="parts")
        return mb.cast(x=first, dtype="fp32", name="a"), mb.gelu(x=second, mode="TANH_APPROXIMATION", name="b")

    program = read_program(save_program(block, mb.TensorSpec((2, 4), types.fp16)))
    split, cast, gelu = program.operations
    assert [(v.dtype, v.shape) for v in split.outputs] == [("fp16", (2, 1)), ("fp16", (2, 3))]
    assert program.constants[split.arguments["split_sizes"].name].value.tolist() == [1, 3]
    assert (cast.arguments["dtype"], gelu.arguments["mode"]) == ("fp32", "TANH_APPROXIMATION")
    assert program.outputs == (Value("a", "fp32", (2, 1)), Value("b", "fp16", (2, 3)))


def test_what_was_left_out_has_mils_defaults(save_program: SaveProgram) -> None:
    program = read_program(
        save_program(lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2), (1, 2, 3, 3))
    )
    x = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3)
    (found,) = Machine(program, round_halves=True).run({"x": x}).values()
    assert np.array_equal(found, x.repeat(2, axis=2))


def test_lists_of_values(save_program: SaveProgram) -> None:
    constant = np.float32([[7, 8]])
    program = read_program(save_program(lambda x: mb.concat(values=[x, constant, x], axis=0, name="y"), (1, 2)))
    found = Machine(program, round_halves=True).run({"x": np.float32([[1, 2]])})
    assert found["y"].tolist() == [[1, 2], [7, 8], [1, 2]]


def test_a_list_may_hold_a_constant_number(save_program: SaveProgram) -> None:
    def block(x: Any) -> Any:
        return mb.stack(values=[mb.reduce_sum(x=x, axes=[0], keep_dims=False), np.float32(2.5)], axis=0, name="y")

    found = Machine(read_program(save_program(block, (3,))), round_halves=True).run({"x": np.float32([1, 2, 3])})
    assert found["y"].tolist() == [6, 2.5]


def test_pictures_are_told_from_arrays(save_program: SaveProgram) -> None:
    picture = ct.ImageType("x", shape=(1, 3, 4, 5), color_layout=ct.colorlayout.RGB)
    package = save_program(lambda x: mb.add(x=x, y=np.float32(1), name="y"), (1, 3, 4, 5), inputs=[picture])
    assert read_program(package).pictures == {"x"}

    def also_out(spec: Any) -> None:
        spec.description.output[0].type.CopyFrom(spec.description.input[0].type)

    assert read_program(edit_model(package, also_out)).pictures == {"x", "y"}


def test_a_dynamic_shape_is_read_and_not_evaluated(save_program: SaveProgram) -> None:
    """Bundles are of static shapes; the evaluator could not plan others."""
    shape = ct.TensorType("x", shape=(ct.RangeDim(1, 4), 3))
    package = save_program(lambda x: mb.square(x=x), mb.TensorSpec((get_new_symbol(), 3)), inputs=[shape])
    program = read_program(package)
    assert [value.shape for value in program.outputs] == [(0, 3)]
    with pytest.raises(GraphError, match="has a shape that is not fixed"):
        Machine(program, round_halves=True)


# --- Compressed weights are expanded; how each was stored is told.

AFFINE, LUT, BLOCKS = "constexpr_affine_dequantize", "constexpr_lut_to_dense", "constexpr_blockwise_shift_scale"


def compress(package: Path, change: Callable[..., Any], **options: Any) -> Constant:
    """Return the weight after a compression by coremltools itself."""
    build = cto.OpPalettizerConfig if change is cto.palettize_weights else cto.OpLinearQuantizerConfig
    config = cto.OptimizationConfig(global_config=build(weight_threshold=0, **options))
    with converting(package.parent):
        model = change(ct.models.MLModel(str(package), skip_model_load=True), config)
        program = save_package(model, package.with_name("small.mlpackage"))
    return program.constants[program.operations[0].arguments["weight"].name]


def linearly(weights: NDArray[Any], levels: int) -> NDArray[Any]:
    """Each row in whole multiples of what its largest value needs."""
    scale = np.abs(weights).max(-1, keepdims=True).astype(np.float64) / levels
    return np.rint(weights / scale) * scale


def evenly(weights: NDArray[Any], bits: int) -> NDArray[Any]:
    """The nearest of 2**bits values, evenly from the smallest weight to the largest."""
    low, high = float(weights.min()), float(weights.max())
    step = (high - low) / (2**bits - 1)
    return low + np.rint((weights - low) / step) * step


def test_linear_8_bit_weights(package: Path) -> None:
    found = compress(package, cto.linear_quantize_weights, mode="linear_symmetric")
    assert found.stored == AFFINE
    np.testing.assert_allclose(found.value, linearly(WEIGHT, 127), rtol=1e-5, atol=1e-6)


def test_linear_8_bit_weights_with_zero_points(package: Path) -> None:
    """From the smallest to the largest of a row, zero among them; 256 levels; a zero point is a whole number."""
    found = compress(package, cto.linear_quantize_weights, mode="linear")
    assert found.stored == AFFINE
    low, high = np.minimum(WEIGHT.min(1), 0)[:, None], np.maximum(WEIGHT.max(1), 0)[:, None]
    scale = (high - low).astype(np.float64) / 255
    codes = found.value / scale
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    assert np.all(np.abs(found.value - WEIGHT) <= 1.01 * scale)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_palettes(package: Path, bits: int) -> None:
    """Indices of 6 bits cross bytes."""
    found = compress(package, cto.palettize_weights, mode="uniform", nbits=bits)
    assert found.stored == LUT
    np.testing.assert_allclose(found.value, evenly(WEIGHT, bits), atol=1e-5)


def test_linear_4_bit_weights_in_blocks(save_program: SaveProgram) -> None:
    package = save_program(linear_block, (3, 40), system=ct.target.iOS18)
    options = {"mode": "linear_symmetric", "dtype": "int4", "granularity": "per_block", "block_size": 20}
    found = compress(package, cto.linear_quantize_weights, **options)
    assert found.stored == BLOCKS
    blocks = linearly(WEIGHT.reshape(12, 2, 20), 7)
    np.testing.assert_allclose(found.value, blocks.reshape(12, 40), rtol=1e-5, atol=1e-6)


def test_palettes_of_groups_of_channels(save_program: SaveProgram) -> None:
    package = save_program(linear_block, (3, 40), system=ct.target.iOS18)
    options = {"mode": "uniform", "nbits": 4, "granularity": "per_grouped_channel", "group_size": 4}
    found = compress(package, cto.palettize_weights, **options)
    assert found.stored == LUT
    expected = np.concatenate([evenly(WEIGHT[i : i + 4], 4) for i in (0, 4, 8)])
    np.testing.assert_allclose(found.value, expected, atol=1e-5)
