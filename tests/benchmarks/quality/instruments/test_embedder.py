"""An embedder is fed pictures as its graph wants them, or refused in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from PIL import Image

from amused_edge.benchmarks.quality.instruments.embedder import Embedder
from amused_edge.runtime.errors import OptionsError
from tests.support.picture_models import FLOAT, INT64, NCHW, NHWC, UINT8, pictures, save_flat, save_model


def test_floats_are_from_0_to_1_with_channels_first(tmp_path: Path) -> None:
    images = pictures(3)
    images[0][0, 0] = (0, 51, 255)
    found = Embedder(save_flat(tmp_path / "m.onnx"))(images)
    expected = [image.transpose(2, 0, 1).reshape(-1) / 255 for image in images]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.dtype == np.float64
    assert found[0, [0, 192, 384]] == pytest.approx([0.0, 0.2, 1.0])


@pytest.mark.parametrize("dtype", [FLOAT, UINT8])
def test_channels_may_come_last(tmp_path: Path, dtype: int) -> None:
    images = pictures(2)
    found = Embedder(save_flat(tmp_path / "m.onnx", dtype, NHWC))(images)
    expected = np.stack(images).reshape(2, -1) / (255 if dtype == FLOAT else 1)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_bytes_are_fed_as_they_are(tmp_path: Path) -> None:
    images = pictures(2)
    found = Embedder(save_flat(tmp_path / "m.onnx", UINT8))(images)
    np.testing.assert_array_equal(found, [image.transpose(2, 0, 1).reshape(-1) for image in images])


@pytest.mark.parametrize(
    ("shape", "size"), [([1, 20, 10, 3], (20, 10)), (["b", 7, "w", 3], (7, 16)), (["b", "h", 20, 3], (12, 20))]
)
def test_sides_of_fixed_size_are_what_pictures_are_resized_to(
    tmp_path: Path, shape: list[Any], size: tuple[int, int]
) -> None:
    """By Pillow's bicubic filter; a side that the graph leaves open stays."""
    images = pictures(2, 12, 16)
    found = Embedder(save_flat(tmp_path / "m.onnx", UINT8, shape))(images)
    resized = [Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC) for image in images]
    np.testing.assert_array_equal(found, [np.asarray(image).reshape(-1) for image in resized])


def test_pictures_of_several_sizes_fit_fixed_sides(tmp_path: Path) -> None:
    images = [*pictures(1, 8, 8), *pictures(1, 20, 30)]
    embed = Embedder(save_flat(tmp_path / "m.onnx", UINT8, ["b", 8, 8, 3]))
    found = embed(images)
    assert found.shape == (2, 8 * 8 * 3)
    np.testing.assert_array_equal(found[0], images[0].reshape(-1))


def test_pictures_of_several_sizes_are_refused_where_sides_are_open(tmp_path: Path) -> None:
    """A folder of real pictures may hold any."""
    with pytest.raises(OptionsError, match="size"):
        Embedder(save_flat(tmp_path / "m.onnx"))([*pictures(1, 8, 8), *pictures(1, 8, 9)])


@pytest.mark.parametrize("batch", [1, 4, 32, "batch"])
@pytest.mark.parametrize("count", [1, 4, 33, 70])
def test_every_picture_has_its_own_row_whatever_the_batch(tmp_path: Path, batch: Any, count: int) -> None:
    images = pictures(count, 4, 4)
    found = Embedder(save_flat(tmp_path / "m.onnx", UINT8, [batch, 4, 4, 3]))(images)
    np.testing.assert_array_equal(found, np.stack(images).reshape(count, -1))


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_features_may_be_floats_of_any_width(tmp_path: Path, dtype: int) -> None:
    nodes = [("ReduceMean", ["image", "sides"], "mean", {"keepdims": 0}), ("Cast", ["mean"], "features", {"to": dtype})]
    sides = {"sides": np.array([2, 3])}
    path = save_model(tmp_path / "m.onnx", nodes, [("image", FLOAT, NCHW)], [("features", dtype, ["b", 3])], sides)
    images = pictures(3)
    found = Embedder(path)(images)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [image.mean((0, 1)) / 255 for image in images], atol=1e-3)


def test_the_output_called_features_is_chosen_or_else_the_first(tmp_path: Path) -> None:
    def make(names: tuple[str, str]) -> Embedder:
        nodes = [("Flatten", ["image"], names[0], {}), ("Neg", [names[0]], names[1], {})]
        outputs = [(name, FLOAT, ["b", "n"]) for name in names]
        return Embedder(save_model(tmp_path / f"{names[1]}.onnx", nodes, [("image", FLOAT, NCHW)], outputs))

    images = pictures(2)
    assert (make(("logits", "features"))(images) <= 0).all()
    assert (make(("first", "second"))(images) >= 0).all()


# --- What is no embedder.


@pytest.mark.parametrize(
    ("dtype", "shape", "named"),
    [
        (TensorProto.DOUBLE, NCHW, "tensor(double)"),
        (INT64, NHWC, "tensor(int64)"),
        (FLOAT, ["batch", 4, "h", "w"], "4, 'h', 'w'"),
        (FLOAT, ["batch", "c", "h", "w"], "'c', 'h', 'w'"),
        (FLOAT, ["batch", 3, 64], "'batch', 3, 64"),
        (FLOAT, ["batch", 77], "'batch', 77"),
    ],
)
def test_an_input_that_is_no_picture_is_refused(tmp_path: Path, dtype: int, shape: list[Any], named: str) -> None:
    path = save_flat(tmp_path / "m.onnx", dtype, shape)
    with pytest.raises(OptionsError, match="it must take pictures, float32 in") as caught:
        Embedder(path)
    assert named in str(caught.value)
    assert f"the embedder {path} takes 'image'" in str(caught.value)


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    nodes = [("Add", ["a", "b"], "sum", {}), ("Flatten", ["sum"], "features", {})]
    inputs = [("a", FLOAT, NCHW), ("b", FLOAT, NCHW)]
    path = save_model(tmp_path / "m.onnx", nodes, inputs, [("features", FLOAT, ["b", "n"])])
    with pytest.raises(OptionsError, match="takes 2 inputs; it must take one, the pictures"):
        Embedder(path)


@pytest.mark.parametrize(("operator", "dtype", "shape"), [("Relu", FLOAT, NCHW), ("Shape", INT64, [4])])
def test_an_output_that_is_no_features_is_refused(tmp_path: Path, operator: str, dtype: int, shape: list[Any]) -> None:
    nodes = [(operator, ["image"], "grid", {})]
    path = save_model(tmp_path / "m.onnx", nodes, [("image", FLOAT, NCHW)], [("grid", dtype, shape)])
    with pytest.raises(OptionsError, match=r"gives 'grid' of type .*; it must give features, floats of shape"):
        Embedder(path)


def test_class_numbers_are_no_features(tmp_path: Path) -> None:
    nodes = [("Flatten", ["image"], "flat", {}), ("ArgMax", ["flat"], "class", {"axis": 1})]
    path = save_model(tmp_path / "m.onnx", nodes, [("image", FLOAT, NCHW)], [("class", INT64, ["b", 1])])
    with pytest.raises(OptionsError, match=r"gives 'class' of type tensor\(int64\)"):
        Embedder(path)


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(OptionsError, match=r"cannot load the embedder .*m\.onnx: .+"):
        Embedder(tmp_path / "m.onnx")
