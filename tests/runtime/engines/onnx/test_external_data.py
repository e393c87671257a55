"""Our reader of ONNX files against the onnx package, on models made by it and on bytes that are none."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from amused_edge.runtime.engines.onnx.external_data import ExternalData, external_data


def external(name: str, location: str, offset: int | None = None, length: int | None = None) -> Any:
    """A tensor whose values lie in a file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    if offset is not None:
        tensor.external_data.add(key="offset", value=str(offset))
    if length is not None:
        tensor.external_data.add(key="length", value=str(length))
    return tensor


def inline(name: str, count: int = 2) -> Any:
    return numpy_helper.from_array(np.arange(count, dtype=np.float32), name)


def value(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])


def graph(nodes: list[Any], initializers: list[Any], inputs: list[Any] | None = None) -> Any:
    return helper.make_graph(nodes, "graph", inputs or [], [value("y")], initializers)


def model(*args: Any, **kwargs: Any) -> Any:
    return helper.make_model(graph(*args, **kwargs), opset_imports=[helper.make_opsetid("", 17)])


def test_initializers() -> None:
    made = model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [external("a", "weights.data", 4096, 8), inline("b"), external("c", "sub/other.data")],
    )
    expected = [ExternalData("weights.data", 4096, 8), ExternalData("sub/other.data", 0, 0)]
    assert external_data(made.SerializeToString()) == expected


def test_a_model_without_external_data() -> None:
    made = model([helper.make_node("Add", ["a", "b"], ["y"])], [inline("a"), inline("b", 300)])
    assert external_data(made.SerializeToString()) == []


def test_names_beyond_ascii_and_numbers_beyond_32_bits() -> None:
    made = model([], [external("gewicht", "gewichte/ä.data", 2**40, 2**33)])
    assert external_data(made.SerializeToString()) == [ExternalData("gewichte/ä.data", 2**40, 2**33)]


def test_tensors_in_attributes() -> None:
    """Constants: one tensor, and a list of them."""
    single = helper.make_node("Constant", [], ["y"], value=external("", "one.data"))
    several = helper.make_node("Custom", [], ["z"], domain="d")
    several.attribute.append(
        onnx.AttributeProto(
            name="values",
            type=onnx.AttributeProto.TENSORS,
            tensors=[external("", "two.data"), external("", "three.data")],
        )
    )
    found = external_data(model([single, several], []).SerializeToString())
    assert [reference.location for reference in found] == ["one.data", "two.data", "three.data"]


def test_subgraphs_within_subgraphs() -> None:
    """Both branches of an If, and an If in one of them."""
    inner = graph([helper.make_node("Identity", ["w"], ["y"])], [external("w", "inner.data")])
    deep = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    then_branch = graph([deep], [external("t", "then.data")])
    else_branch = graph([helper.make_node("Constant", [], ["y"], value=external("", "else.data"))], [])
    made = model([helper.make_node("If", ["c"], ["y"], then_branch=then_branch, else_branch=else_branch)], [])
    found = sorted(reference.location for reference in external_data(made.SerializeToString()))
    assert found == ["else.data", "inner.data", "inner.data", "then.data"]


def test_lists_of_subgraphs() -> None:
    node = helper.make_node("Custom", [], ["y"], domain="d")
    branches = [graph([], [external("a", "a.data")]), graph([], [external("b", "b.data")])]
    node.attribute.append(onnx.AttributeProto(name="graphs", type=onnx.AttributeProto.GRAPHS, graphs=branches))
    found = external_data(model([node], []).SerializeToString())
    assert [reference.location for reference in found] == ["a.data", "b.data"]


def test_functions() -> None:
    """Their nodes, and the default values of their attributes."""
    function = helper.make_function(
        "d",
        "F",
        [],
        ["y"],
        [helper.make_node("Constant", [], ["y"], value=external("", "body.data"))],
        [helper.make_opsetid("", 17)],
    )
    default = onnx.AttributeProto(name="v", type=onnx.AttributeProto.TENSOR, t=external("", "default.data"))
    function.attribute_proto.append(default)
    made = model([helper.make_node("F", [], ["y"], domain="d")], [])
    made.functions.append(function)
    found = sorted(reference.location for reference in external_data(made.SerializeToString()))
    assert found == ["body.data", "default.data"]


def test_sparse_tensors() -> None:
    made = model([], [])
    made.graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=external("v", "values.data"), indices=external("i", "indices.data"), dims=[9])
    )
    sparse = onnx.SparseTensorProto(values=external("s", "constant.data"), dims=[9])
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.append(
        onnx.AttributeProto(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse)
    )
    made.graph.node.append(node)
    found = sorted(reference.location for reference in external_data(made.SerializeToString()))
    assert found == ["constant.data", "indices.data", "values.data"]


def test_training_graphs() -> None:
    made = model([], [])
    made.training_info.append(
        onnx.TrainingInfoProto(
            initialization=graph([], [external("a", "initialization.data")]),
            algorithm=graph([], [external("b", "algorithm.data")]),
        )
    )
    found = sorted(reference.location for reference in external_data(made.SerializeToString()))
    assert found == ["algorithm.data", "initialization.data"]


def test_the_last_of_two_entries_counts() -> None:
    """As in engines: a harmless entry first must not hide the one that is used."""
    tensor = external("a", "harmless.data")
    tensor.external_data.add(key="location", value="../secret")
    assert external_data(model([], [tensor]).SerializeToString()) == [ExternalData("../secret", 0, 0)]


def test_external_data_without_a_location_is_still_reported() -> None:
    tensor = TensorProto(name="a", data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="7")
    assert external_data(model([], [tensor]).SerializeToString()) == [ExternalData("", 7, 0)]


def test_an_offset_that_is_no_number() -> None:
    tensor = external("a", "weights.data")
    tensor.external_data.add(key="offset", value="seven")
    with pytest.raises(ValueError, match="seven"):
        external_data(model([], [tensor]).SerializeToString())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff" * 40, "a number is too long"),
        (b"\x80", "ends in the middle of a number"),
        (b"\x3a\x05ab", "ends in the middle of a field"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends in the middle of a field"),
        (b"\x09\x00", "ends in the middle of a field"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x0e", "unknown wire type 6"),
        (b"this is no model", "wire type|middle"),
        (b"\x89PNG\r\n\x1a\n", "wire type|middle"),
    ],
)
def test_bytes_that_are_no_message(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        external_data(content)


def test_fixed_width_and_number_fields_are_passed_over() -> None:
    """Fields that lead to no tensor, of every wire type, before one that does."""
    content = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + b"\x22\x02hi"
    made = model([], [external("a", "weights.data")]).SerializeToString()
    assert external_data(content + made) == [ExternalData("weights.data", 0, 0)]


def test_every_truncation_is_an_error_or_finds_no_more() -> None:
    """Cut anywhere, it must neither crash otherwise nor invent references."""
    whole = model(
        [helper.make_node("Add", ["a", "b"], ["y"])], [external("a", "first.data", 0, 8), external("b", "second.data")]
    ).SerializeToString()
    complete = external_data(whole)
    assert len(complete) == 2
    outcomes = set()
    for size in range(len(whole)):
        try:
            found = external_data(whole[:size])
        except ValueError:
            outcomes.add("error")
        else:
            outcomes.add("fewer")
            assert found in ([], complete)
    assert outcomes == {"error", "fewer"}


def test_random_bytes_are_an_error_or_nothing() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        try:
            assert external_data(rng.bytes(64)) == []
        except ValueError:
            refused += 1
    assert refused > 450


def test_graphs_nested_without_end_are_refused() -> None:
    """Once, a small file of nested subgraphs exhausted Python's stack."""
    message = b""
    for _ in range(300):  # graph { node { attribute { g { ... } } } }
        for key in (0x32, 0x2A, 0x0A):
            length = len(message)
            size = b""
            while length > 0x7F:
                size += bytes([length & 0x7F | 0x80])
                length >>= 7
            message = bytes([key]) + size + bytes([length]) + message
    length, size = len(message), b""
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    with pytest.raises(ValueError, match="nested too deeply"):
        external_data(b"\x3a" + size + bytes([length]) + message)
