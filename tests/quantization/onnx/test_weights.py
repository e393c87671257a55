"""Which tensors of a graph a recipe may change, and that a Gemm taken apart computes the same."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.weights import expand_gemms, find_weights
from tests.support.onnx_graphs import build, node, operators, run, weights_of


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- What is a weight.


def test_every_kind_of_weight_is_found() -> None:
    model = build(
        [
            node("MatMul", ["x", "m"], "a"),
            node("Gemm", ["a", "g", "b"], "z"),
            node("Conv", ["p", "c3"], "d"),
            node("Conv", ["d", "c1", "cb"], "e"),
            node("Conv", ["e", "cd"], "f", group=4),
            node("Gather", ["t", "ids"], "h"),
        ],
        {"x": (2, 6), "p": (1, 3, 8, 8), "ids": (5,)},
        ["z", "f", "h"],
        m=random(6, 4),
        g=random(4, 3),
        b=random(3),
        c3=random(5, 3, 3, 3),
        c1=random(4, 5, 1, 1),
        cb=random(4),
        cd=random(4, 1, 3, 3),
        t=random(7, 3),
    )
    found = weights_of(model)
    kinds = {name: weight.operator for name, weight in found.items()}
    assert kinds == {"m": "matmul", "g": "matmul", "c3": "conv", "c1": "conv", "cd": "conv", "t": "table"}
    assert found["cd"].shape == (4, 1, 3, 3)
    assert [one.name for one in found["t"].nodes] == ["make_h"]


def test_a_weight_that_several_nodes_share_is_found_once() -> None:
    model = build(
        [node("MatMul", ["x", "m"], "y"), node("MatMul", ["y", "m"], "z")], {"x": (2, 3)}, ["z"], m=random(3, 3)
    )
    assert [one.name for one in weights_of(model)["m"].nodes] == ["make_y", "make_z"]


def test_a_weight_goes_by_its_checkpoint_names_too() -> None:
    model = build([node("MatMul", ["x", "qkv"], "y")], {"x": (1, 2)}, ["y"], qkv=random(2, 2))
    weight = find_weights(model.graph, {"qkv": ("q", "k", "v"), "other": ("o",)})["qkv"]
    assert weight.names == ("qkv", "q", "k", "v")


@pytest.mark.parametrize(
    ("nodes", "tensor"),
    [
        # Looked up by row and multiplied with: tied embeddings.
        ([node("Gather", ["w", "ids"], "a"), node("MatMul", ["a", "w"], "y")], random(4, 4)),
        ([node("MatMul", ["x", "w"], "a"), node("Add", ["a", "w"], "y")], random(4, 4)),
        ([node("MatMul", ["w", "x"], "y")], random(4, 4)),
        ([node("MatMul", ["w", "w"], "a"), node("MatMul", ["x", "a"], "y")], random(4, 4)),
        ([node("Add", ["x", "w"], "y")], random(4, 4)),
        ([node("Mul", ["x", "w"], "y")], random(4)),
        ([node("Conv", ["p", "k", "w"], "y")], random(4)),
        ([node("Gather", ["w", "ids"], "a"), node("MatMul", ["x", "a"], "y")], random(4)),
        ([node("MatMul", ["x", "w"], "y")], random(1, 4, 4)),
        ([node("Transpose", ["w"], "a"), node("MatMul", ["x", "a"], "y")], random(4, 4)),
    ],
    ids=["tied", "added too", "left factor", "squared", "summand", "gain", "bias", "vector table", "3-D", "transposed"],
)
def test_what_is_no_plain_factor_is_no_weight(nodes: Any, tensor: NDArray[np.float32]) -> None:
    model = build(nodes, {"x": (4, 4), "p": (1, 2, 4, 4), "ids": (4,)}, ["y"], w=tensor, k=random(4, 2, 1, 1))
    assert "w" not in weights_of(model)


def test_a_weight_that_is_an_output_too_is_none() -> None:
    model = build([node("MatMul", ["x", "w"], "y")], {"x": (1, 2)}, ["y", "w"], w=random(2, 2))
    assert not weights_of(model)


def test_only_float32_is_a_weight() -> None:
    """Whole numbers and halves have been quantized or never were weights."""
    table = build(
        [node("Gather", ["w", "ids"], "a"), node("Cast", ["a"], "y", to=1)],
        {"ids": (2,)},
        ["y"],
        w=np.ones((3, 2), np.float16),
    )
    assert not weights_of(table)


# --- Gemm.


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [None, (4,), (1, 4), (5, 4), (5, 1)])
def test_a_gemm_taken_apart_computes_the_same(turned: int, bias: tuple[int, ...] | None) -> None:
    factor = random(4, 3) if turned else random(3, 4)
    terms = ["x", "w"] if bias is None else ["x", "w", "b"]
    tensors = {"w": factor} if bias is None else {"w": factor, "b": random(*bias, seed=1)}
    model = build([node("Gemm", terms, "y", transB=turned)], {"x": ("rows", 3)}, ["y"], **tensors)
    x = random(5, 3, seed=2)
    (before,) = run(model, x=x)
    expand_gemms(model.graph)
    assert operators(model) == ["MatMul", "Add"][: len(terms) - 1]
    (after,) = run(model, x=x)
    exact = x.astype(np.float64) @ (factor.T if turned else factor) + tensors.get("b", 0)
    np.testing.assert_allclose(before, exact, atol=1e-5)
    np.testing.assert_allclose(after, exact, atol=1e-5)
    weight = weights_of(model)["w"]
    assert weight.operator == "matmul"
    assert weight.shape == (3, 4)


def test_gemms_that_share_a_turned_weight_still_share_it() -> None:
    """Under its own name; else a pattern would reach one user and not the other, and it would be stored twice."""
    model = build(
        [node("Gemm", ["x", "w", "b"], "h", transB=1), node("Gemm", ["h", "w"], "y", transB=1)],
        {"x": (2, 4)},
        ["y"],
        w=random(4, 4),
        b=random(4),
    )
    x = random(2, 4, seed=3)
    (before,) = run(model, x=x)
    expand_gemms(model.graph)
    np.testing.assert_allclose(run(model, x=x)[0], before, atol=1e-5)
    assert {name: len(weight.nodes) for name, weight in weights_of(model).items()} == {"w": 2}


def test_a_turned_weight_with_another_user_is_copied() -> None:
    model = build(
        [node("Gemm", ["x", "w"], "h", transB=1), node("Add", ["h", "w"], "y")], {"x": (4, 4)}, ["y"], w=random(4, 4)
    )
    x = random(4, 4, seed=4)
    (before,) = run(model, x=x)
    expand_gemms(model.graph)
    np.testing.assert_allclose(run(model, x=x)[0], before, atol=1e-5)
    assert list(weights_of(model)) == ["w.transposed"]


def test_a_gemm_between_other_nodes_keeps_its_place() -> None:
    model = build(
        [node("Relu", ["x"], "a"), node("Gemm", ["a", "w", "b"], "h", transB=1), node("Relu", ["h"], "y")],
        {"x": (2, 3)},
        ["y"],
        w=random(5, 3),
        b=random(5),
    )
    x = random(2, 3, seed=5)
    (before,) = run(model, x=x)
    expand_gemms(model.graph)
    assert operators(model) == ["Relu", "MatMul", "Add", "Relu"]
    np.testing.assert_allclose(run(model, x=x)[0], before, atol=1e-5)


def test_a_gemm_without_a_constant_factor_is_left_alone() -> None:
    model = build([node("Gemm", ["x", "z"], "y", transB=1, alpha=0.5)], {"x": (2, 3), "z": (4, 3)}, ["y"])
    expand_gemms(model.graph)
    assert operators(model) == ["Gemm"]


@pytest.mark.parametrize("attribute", [{"alpha": 0.5}, {"beta": 2.0}, {"transA": 1}])
def test_a_gemm_that_scales_or_turns_its_input_is_refused(attribute: dict[str, Any]) -> None:
    model = build([node("Gemm", ["x", "w", "b"], "y", **attribute)], {"x": (3, 3)}, ["y"], w=random(3, 3), b=random(3))
    with pytest.raises(QuantizationError, match="node 'make_y' is a Gemm with alpha, beta or transA"):
        expand_gemms(model.graph)
