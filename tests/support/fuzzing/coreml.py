"""Core ML packages as one text: the length of the model, the model, and its weights."""

import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.fuzzing.mutate import mutated_bytes
from tests.support.fuzzing.parser import Parser, Read
from tests.support.fuzzing.protobuf import mutated_protobuf


@cache
def _seeds() -> list[bytes]:
    """Packages whose weights are stored in each way that recipes know, with a branch, and with a picture."""
    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    old, new = ct.target.iOS17, ct.target.iOS18
    codes = np.arange(16, dtype=np.int8).reshape(4, 4)
    fours = codes.astype(np.uint8).astype(types.np_uint4_dtype)

    def linear(x: Any, weight: Any) -> Any:
        return Builder.linear(x=x, weight=weight, name="y")

    def plain(x: Any) -> Any:
        return linear(x, np.ones((4, 4), np.float32))

    def affine(x: Any) -> Any:
        scale, zero = np.ones(4, np.float32), np.zeros(4, np.int8)
        return linear(
            x, Builder.constexpr_affine_dequantize(quantized_data=codes, scale=scale, zero_point=zero, axis=np.int32(0))
        )

    def palette(x: Any) -> Any:
        indices, lut, shape = np.zeros(8, np.uint8), np.arange(16, dtype=np.float32), np.array([4, 4], np.uint32)
        return linear(x, Builder.constexpr_lut_to_dense(indices=indices, lut=lut, shape=shape))

    def blocks(x: Any) -> Any:
        return linear(x, Builder.constexpr_blockwise_shift_scale(data=codes, scale=np.ones((4, 2), np.float32)))

    def palettes(x: Any) -> Any:
        return linear(x, Builder.constexpr_lut_to_dense(indices=fours, lut=np.ones((1, 1, 16, 1), np.float32)))

    def branch(x: Any) -> Any:
        above = Builder.greater(x=Builder.reduce_max(x=x, axes=[0, 1], keep_dims=False), y=np.float32(0.5))
        weight = np.ones((4, 4), np.float32)
        taken = Builder.cond(pred=above, _true_fn=lambda: Builder.linear(x=x, weight=weight), _false_fn=lambda: x)
        return Builder.concat(values=(taken, x), axis=1, interleave=False, name="y")

    def picture(x: Any) -> Any:
        return Builder.add(x=x, y=np.ones((3, 4, 5), np.float32), name="y")

    programs = ((plain, old), (affine, old), (palette, old), (blocks, new), (palettes, new), (branch, old))
    image = ct.ImageType("x", shape=(1, 3, 4, 5), color_layout=ct.colorlayout.RGB)
    return [*(_package(build, system) for build, system in programs), _package(picture, old, image)]


def _package(build: Callable[[Any], Any], system: Any, image: Any = None) -> bytes:
    import coremltools as ct
    from coremltools.converters.mil import Builder

    from amused_edge.runtime.engines.coreml.saving import converting, save_package

    shape = (1, 4) if image is None else (1, 3, 4, 5)
    program = Builder.program(input_specs=[Builder.TensorSpec(shape)], opset_version=system)(build)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "a.mlpackage"
        with converting(package.parent):
            model = ct.convert(
                program,
                convert_to="mlprogram",
                inputs=None if image is None else [image],
                minimum_deployment_target=system,
                compute_precision=ct.precision.FLOAT32,
                pass_pipeline=ct.PassPipeline.EMPTY,
                skip_model_load=True,
            )
            save_package(model, package)
        content = package / "Data" / "com.apple.CoreML"
        return _joined(*((content / name).read_bytes() for name in ("model.mlmodel", "weights/weight.bin")))


def _joined(model: bytes, weights: bytes) -> bytes:
    return len(model).to_bytes(4, "little") + model + weights


def _parted(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4], "little") % 2**16
    return data[4:end], data[end:]


def _mutated(data: bytes, chance: random.Random) -> bytes:
    model, weights = _parted(data)
    if chance.random() < 0.8:
        return _joined(mutated_protobuf(model, chance), weights)
    return _joined(model, mutated_bytes(weights, chance))


def _read(folder: Path) -> Read:
    from amused_edge.runtime.engines.coreml.program import read_program

    content = folder / "a.mlpackage" / "Data" / "com.apple.CoreML"
    (content / "weights").mkdir(parents=True, exist_ok=True)

    def one(data: bytes) -> None:
        model, weights = _parted(data)
        (content / "model.mlmodel").write_bytes(model)
        (content / "weights" / "weight.bin").write_bytes(weights)
        read_program(folder / "a.mlpackage")

    return one


CORE_ML = {"core ml": Parser(_seeds, _read, _mutated)}
