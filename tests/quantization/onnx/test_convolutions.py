"""Convolutions with 8-bit weights and static 8-bit activations, beside the recipe computed in float64 with torch."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper

from amused_edge.quantization.onnx.rewrite import rewrite_weight
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.ranges import Range
from tests.support.onnx_graphs import build, node, run, weights_of

Floats = NDArray[np.float64]
WEIGHTS_ONLY, STATIC = Rule("*", bits=8), Rule("*", bits=8, activations="static")
INPUT = Range(2.0**-6, 100)


def kernel(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Output channels of very different sizes: a scale along a wrong axis shows."""
    rng = np.random.default_rng(seed)
    sizes = np.logspace(-1, 1, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return (rng.standard_normal(shape) * sizes).astype(np.float32)


def picture(*shape: int, seed: int = 1) -> tuple[NDArray[np.float32], Floats]:
    """Return an input, and what INPUT leaves of it; nothing lies near where rounding tips."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, shape)
    values = (codes - INPUT.zero_point + rng.uniform(-0.4, 0.4, shape)) * INPUT.scale
    return values.astype(np.float32), (codes - INPUT.zero_point) * INPUT.scale


def rounded_kernel(weight: NDArray[np.float32]) -> Floats:
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    steps = np.abs(flat).max(axis=1, keepdims=True) / 127
    return (np.rint(flat / steps) * steps).reshape(weight.shape)


def convolve(x: Floats, weight: Floats, bias: NDArray[Any] | None = None, **options: Any) -> Floats:
    arguments = [torch.from_numpy(np.asarray(values, np.float64)) for values in (x, weight)]
    result: Floats = torch.nn.functional.conv2d(*arguments, **options).numpy()
    return result if bias is None else result + bias.astype(np.float64).reshape(-1, 1, 1)


def on_grid(values: Floats, span: Range) -> Floats:
    return (np.clip(np.rint(values / span.scale) + span.zero_point, 0, 255) - span.zero_point) * span.scale


def spanning(values: Floats) -> Range:
    return Range.of(float(values.min()), float(values.max()))


def check_on_grid(actual: NDArray[np.float32], exact: Floats, span: Range) -> None:
    """Codes, as whole numbers; an engine computes in float32 and may tip over where the exact value is between two."""
    codes = actual.astype(np.float64) / span.scale
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    off = np.abs(codes - on_grid(exact, span) / span.scale)
    assert off.max() < 1.01
    assert np.mean(off > 0.5) < 0.01


FORMS = [
    pytest.param((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}, {"padding": 1}, id="3x3"),
    pytest.param((6, 4, 1, 1), {}, {}, id="1x1"),
    pytest.param((4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}, {"groups": 4, "padding": 1}, id="depthwise"),
    pytest.param((6, 4, 2, 2), {"strides": [2, 2]}, {"stride": 2}, id="downsampling"),
    pytest.param((6, 4, 3, 3), {"auto_pad": "SAME_UPPER"}, {"padding": 1}, id="auto_pad"),
]
BATCH = ("batch", 4, 8, 10)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("shape", "attributes", "options"), FORMS)
@pytest.mark.parametrize("bits", [8, 16])
def test_fewer_bits_of_the_weights_only(
    bits: int, shape: tuple[int, ...], attributes: dict[str, Any], options: dict[str, Any], biased: bool
) -> None:
    weight, bias = kernel(*shape), kernel(shape[0], seed=2)
    tensors = {"w": weight, "b": bias} if biased else {"w": weight}
    model = build([node("Conv", ["x", *tensors], "y", **attributes)], {"x": BATCH}, ["y"], **tensors)
    made = rewrite_weight(model.graph, weights_of(model)["w"], Rule("*", bits=bits))
    x, _ = picture(3, 4, 8, 10)
    rounded = rounded_kernel(weight) if bits == 8 else weight.astype(np.float16).astype(np.float64)
    expected = convolve(x, rounded, bias if biased else None, **options)
    sizes = np.abs(expected).max(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(run(model, x=x)[0] / sizes, expected / sizes, rtol=0, atol=1e-5)
    assert (made.bits, made.activations, made.operator) == (bits, "float32", "Conv")
    assert made.error == pytest.approx(np.linalg.norm(rounded - weight) / np.linalg.norm(weight), rel=1e-3)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("shape", "attributes", "options"), FORMS)
def test_static_activations(
    shape: tuple[int, ...], attributes: dict[str, Any], options: dict[str, Any], biased: bool
) -> None:
    weight, bias = kernel(*shape) / 10, kernel(shape[0], seed=2)
    tensors = {"w": weight, "b": bias} if biased else {"w": weight}
    nodes = [node("Conv", ["x", *tensors], "h", **attributes), node("Identity", ["h"], "y")]
    model = build(nodes, {"x": BATCH}, ["y"], **tensors)
    x, rounded_x = picture(3, 4, 8, 10)
    exact = convolve(rounded_x, rounded_kernel(weight), bias if biased else None, **options)
    span = spanning(0.8 * exact)  # less than all: what lies beyond is clipped
    made = rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges={"x": INPUT, "h": span})
    check_on_grid(run(model, x=x)[0], exact, span)
    assert (made.bits, made.activations) == (8, "static uint8")


@pytest.mark.parametrize("order", permutations("uvw"), ids="".join)
def test_convolutions_that_feed_each_other(order: tuple[str, ...]) -> None:
    """In whatever order they are rewritten: one feeds the next directly, and a third and a sum use its result too."""
    tensors = {"u": kernel(5, 4, 3, 3) / 10, "v": kernel(5, 5, 1, 1, seed=1) / 10, "w": kernel(5, 5, 3, 3, seed=2) / 20}
    biases = {"ub": kernel(5, seed=3), "vb": kernel(5, seed=4)}
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["x", "u", "ub"], "p", **pads),
        node("Conv", ["p", "v", "vb"], "q"),
        node("Conv", ["p", "w"], "r", **pads),
        node("Add", ["p", "q"], "s"),
        node("Add", ["s", "r"], "y"),
    ]
    model = build(nodes, {"x": (2, 4, 6, 6)}, ["y"], **tensors, **biases)
    x, rounded_x = picture(2, 4, 6, 6)
    rounded = {name: rounded_kernel(values) for name, values in tensors.items()}
    ranges = {"x": INPUT}

    def grid(name: str, exact: Floats) -> Floats:
        ranges[name] = spanning(exact)
        return on_grid(exact, ranges[name])

    p = grid("p", convolve(rounded_x, rounded["u"], biases["ub"], padding=1))
    q = grid("q", convolve(p, rounded["v"], biases["vb"]))
    r = grid("r", convolve(p, rounded["w"], padding=1))
    for name in order:
        rewrite_weight(model.graph, weights_of(model)[name], STATIC, ranges=ranges)
    (actual,) = run(model, x=x)
    # A code of p that tips over moves few values of q and r, and those by little: judge the bulk and the worst apart.
    off = np.abs(actual - (p + q + r))
    steps = sum(ranges[name].scale for name in "pqr")
    assert off.max() < 3 * steps
    assert np.mean(off > 1e-3 * steps) < 0.02


def test_convolutions_that_share_input_weight_and_bias() -> None:
    weight, bias = kernel(5, 4, 3, 3) / 10, kernel(5, seed=1)
    nodes = [
        node("Conv", ["x", "w", "b"], "p"),
        node("Conv", ["x", "w", "b"], "q", strides=[2, 2]),
        node("Neg", ["p"], "y"),
        node("Neg", ["q"], "z"),
    ]
    model = build(nodes, {"x": (2, 4, 7, 7)}, ["y", "z"], w=weight, b=bias)
    x, rounded_x = picture(2, 4, 7, 7)
    exact = convolve(rounded_x, rounded_kernel(weight), bias)
    spans = {"x": INPUT, "p": spanning(exact), "q": spanning(0.5 * exact)}
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges=spans)
    y, z = run(model, x=x)
    check_on_grid(-y, exact, spans["p"])
    check_on_grid(-z, exact[:, :, ::2, ::2], spans["q"])
    assert "w" not in model.graph.initializers
    assert "b" not in model.graph.initializers


def test_static_after_a_convolution_whose_weights_only_are_rounded() -> None:
    """Its result is no grid: the second one quantizes its input by itself."""
    first, second = kernel(5, 4, 1, 1) / 10, kernel(3, 5, 3, 3, seed=1) / 10
    nodes = [node("Conv", ["x", "u"], "p"), node("Conv", ["p", "w"], "q"), node("Neg", ["q"], "y")]
    model = build(nodes, {"x": (1, 4, 6, 6)}, ["y"], u=first, w=second)
    x, _ = picture(1, 4, 6, 6)
    p = convolve(x, rounded_kernel(first))
    spans = {"p": spanning(p)}
    exact = convolve(on_grid(p, spans["p"]), rounded_kernel(second))
    spans["q"] = spanning(exact)
    rewrite_weight(model.graph, weights_of(model)["u"], WEIGHTS_ONLY)
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges=spans)
    (actual,) = run(model, x=x)
    off = np.abs(-actual - on_grid(exact, spans["q"])) / spans["q"].scale
    assert off.max() < 2.01
    assert np.mean(off > 0.5) < 0.05


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("form", [(8, 256, 3, 3), (8, 2048, 1, 1)])
def test_static_products_never_saturate(form: tuple[int, ...], sign: float) -> None:
    """All activations have the code 255 and all weights the largest or smallest: CPUs without VNNI would saturate."""
    full = 255 * 2.0**-6
    total = sign * full * 0.75 * int(np.prod(form[1:]))
    nodes = [node("Conv", ["x", "w"], "h"), node("Identity", ["h"], "y")]
    model = build(nodes, {"x": (2, form[1], 5, 5)}, ["y"], w=np.full(form, sign * 0.75, np.float32))
    span = Range.of(min(total, 0), max(total, 0))
    ranges = {"x": Range(2.0**-6, 0), "h": span}
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges=ranges)
    (actual,) = run(model, x=np.full((2, form[1], 5, 5), full, np.float32))
    np.testing.assert_allclose(actual, np.full(actual.shape, total), rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-30])
def test_a_channel_with_no_weights_to_speak_of_keeps_its_bias(size: float) -> None:
    """Biases are whole numbers of steps as wide as the channel's weights allow: too wide, or too many for 32 bits."""
    weight = kernel(4, 3, 3, 3) / 100
    weight[1] = size
    bias = np.array([0.1, 0.77, -0.2, 0.3], np.float32)
    nodes = [node("Conv", ["x", "w", "b"], "h"), node("Identity", ["h"], "y")]
    model = build(nodes, {"x": (1, 3, 5, 5)}, ["y"], w=weight, b=bias)
    span = Range.of(-1, 1)
    ranges = {"x": Range(0.5, 128), "h": span}
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges=ranges)
    (actual,) = run(model, x=np.zeros((1, 3, 5, 5), np.float32))
    np.testing.assert_allclose(actual[0, :, 0, 0], bias, rtol=0, atol=1.01 * span.scale)


def test_a_bias_that_is_computed_is_added_all_the_same() -> None:
    """It has no values to quantize beforehand."""
    weight, half_bias = kernel(4, 3, 3, 3) / 10, kernel(4, seed=1)
    nodes = [
        node("Add", ["half_bias", "x_bias"], "b"),
        node("Conv", ["x", "w", "b"], "h"),
        node("Identity", ["h"], "y"),
    ]
    shapes = {"x": (1, 3, 6, 6), "x_bias": (4,)}
    model = build(nodes, shapes, ["y"], w=weight, half_bias=half_bias)
    x, rounded_x = picture(1, 3, 6, 6)
    exact = convolve(rounded_x, rounded_kernel(weight), 2 * half_bias)
    span = spanning(exact)
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges={"x": INPUT, "h": span})
    check_on_grid(run(model, x=x, x_bias=half_bias)[0], exact, span)


# --- Values that are only moved have the same code before and after.


def test_what_a_concat_puts_together_is_quantized_before() -> None:
    """On the grid of the whole, so that the result is bit for bit that of quantizing after."""
    weight = kernel(6, 4, 3, 3) / 10
    nodes = [
        node("Concat", ["a", "b"], "x", axis=1),
        node("Conv", ["x", "w"], "h", pads=[1, 1, 1, 1]),
        node("Identity", ["h"], "y"),
    ]
    halves = {"a": ("batch", 1, 8, 10), "b": ("batch", 3, 8, 10)}
    x, rounded_x = picture(3, 4, 8, 10)
    exact = convolve(rounded_x, rounded_kernel(weight), padding=1)
    model = build(nodes, halves, ["y"], w=weight)
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges={"x": INPUT, "h": spanning(exact)})
    concat = next(one for one in model.graph if one.op_type == "Concat")
    assert all(value is not None and value.producer().op_type == "DequantizeLinear" for value in concat.inputs)  # type: ignore[union-attr]
    actual = run(model, a=x[:, :1].copy(), b=x[:, 1:].copy())[0]
    check_on_grid(actual, exact, spanning(exact))
    whole = build(nodes[1:], {"x": BATCH}, ["y"], w=weight)
    rewrite_weight(whole.graph, weights_of(whole)["w"], STATIC, ranges={"x": INPUT, "h": spanning(exact)})
    assert np.array_equal(run(whole, x=x)[0], actual)


def test_what_a_resize_repeats_is_quantized_before() -> None:
    weight, scales = kernel(6, 4, 3, 3) / 10, np.array([1, 1, 2, 2], np.float32)
    nodes = [
        node("Resize", ["a", "", "s"], "x", mode="nearest", coordinate_transformation_mode="asymmetric"),
        node("Conv", ["x", "w"], "h", pads=[1, 1, 1, 1]),
        node("Identity", ["h"], "y"),
    ]
    nodes[0].attribute.append(helper.make_attribute("nearest_mode", "floor"))
    a, rounded_a = picture(3, 4, 4, 5)
    exact = convolve(rounded_a.repeat(2, axis=2).repeat(2, axis=3), rounded_kernel(weight), padding=1)
    model = build(nodes, {"a": ("batch", 4, 4, 5)}, ["y"], w=weight, s=scales)
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges={"x": INPUT, "h": spanning(exact)})
    resize = next(one for one in model.graph if one.op_type == "Resize")
    producers = [value.producer() for value in resize.inputs if value is not None and value.producer() is not None]
    assert [one.op_type for one in producers if one is not None] == ["DequantizeLinear"]
    check_on_grid(run(model, a=a)[0], exact, spanning(exact))


def test_what_others_read_too_stays_as_it_is() -> None:
    weight = kernel(6, 4, 3, 3) / 10
    nodes = [
        node("Concat", ["a", "a"], "x", axis=1),
        node("Conv", ["x", "w"], "h", pads=[1, 1, 1, 1]),
        node("Identity", ["h"], "y"),
        node("Identity", ["x"], "z"),
    ]
    model = build(nodes, {"a": ("batch", 2, 8, 10)}, ["y", "z"], w=weight)
    rewrite_weight(model.graph, weights_of(model)["w"], STATIC, ranges={"x": INPUT, "h": INPUT})
    a, _ = picture(1, 2, 8, 10)
    assert np.array_equal(run(model, a=a)[1], np.concatenate([a, a], axis=1))
