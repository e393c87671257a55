"""Finds the weights of an ONNX graph: what a recipe may change, under the names that the checkpoint gave them."""

from dataclasses import dataclass

import onnx_ir as ir

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import RANKS, Operator
from amused_edge.runtime.checks import present
from amused_edge.runtime.errors import quoted

_PLACES: dict[tuple[str, int], Operator] = {
    ("MatMul", 1): "matmul",
    ("Gemm", 1): "matmul",
    ("Conv", 1): "conv",
    ("Gather", 0): "table",
}


@dataclass(frozen=True)
class Weight:
    """An initializer that a recipe may change.

    Attributes
    ----------
    name
        In the graph.
    names
        What a recipe's pattern may match: that name, and the checkpoint tensors it was folded from.
    operator
        What it is used by: all of its uses are alike.
    nodes
        Its uses.
    value
        The float32 initializer: (K, N) of a matmul ((N, K) of a Gemm with transB), (O, I, h, w) of a convolution,
        (rows, width) of a table.
    """

    name: str
    names: tuple[str, ...]
    operator: Operator
    nodes: tuple[ir.Node, ...]
    value: ir.Value

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the stored tensor."""
        return tuple(int(side) for side in present(self.value.const_value, f"the weight {self.name}").shape)


def find_weights(graph: ir.Graph, derived: dict[str, tuple[str, ...]]) -> dict[str, Weight]:
    """Return the weights of a graph by name.

    Parameters
    ----------
    derived
        The manifest's `derived_tensors`.

    Notes
    -----
    A tensor that is used in several ways, or in another way than as a factor, is none: its users need its values.
    """
    found = {}
    for value in graph.initializers.values():
        operator = _operator(value)
        if operator is not None and value.name is not None:
            names = (value.name, *derived.get(value.name, ()))
            found[value.name] = Weight(value.name, names, operator, tuple(value.consumers()), value)
    return found


def _operator(value: ir.Value) -> Operator | None:
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or value.is_graph_output():
        return None
    operators = {_PLACES.get((node.op_type, place)) if node.domain == "" else None for node, place in value.uses()}
    if len(operators) != 1:
        return None
    operator = operators.pop()
    return operator if operator is not None and len(tensor.shape) == RANKS[operator] else None


def expand_gemms(graph: ir.Graph) -> None:
    """Turn every Gemm with a constant factor into MatMul and Add, so that there is one kind of matmul.

    Raises
    ------
    QuantizationError
        A Gemm scales its terms or transposes its input; none that export writes does.
    """
    turned: dict[ir.Value, ir.Value] = {}
    for node in [node for node in graph if node.op_type == "Gemm" and node.domain == ""]:
        factor = node.inputs[1]
        if factor is None or factor.const_value is None:
            continue
        if any(_number(node, name, 1.0) != 1.0 for name in ("alpha", "beta")) or _number(node, "transA", 0):
            raise QuantizationError(
                f"node {quoted(node.name)} is a Gemm with alpha, beta or transA, which are not supported"
            )
        if _number(node, "transB", 0):
            if factor not in turned:
                turned[factor] = _transposed(graph, factor)
            factor = turned[factor]
        product = ir.node("MatMul", [node.inputs[0], factor], name=node.name)
        nodes = [product]
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            nodes.append(ir.node("Add", [product.outputs[0], node.inputs[2]]))
        ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, nodes[-1].outputs)


def _transposed(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """Replace an initializer (N, K) by its transpose: under its name if all its users want it turned."""
    own = present(value.name, "a weight's name")
    wanted = all(n.op_type == "Gemm" and place == 1 and _number(n, "transB", 0) for n, place in value.uses())
    name = own if wanted else f"{own}.transposed"
    if wanted:
        del graph.initializers[name]
    values = present(value.const_value, f"the weight {own}").numpy()
    turned = ir.Value(name=name, const_value=ir.tensor(values.T.copy(), name=name))
    graph.register_initializer(turned)
    return turned


def _number(node: ir.Node, name: str, default: float) -> float:
    attribute = node.attributes.get(name)
    return default if attribute is None else float(attribute.value)
