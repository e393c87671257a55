"""Simplifies what torch's exporter wrote: constants folded, shapes settled, nodes that do nothing left out.

onnxscript's optimizer does so for any graph. Of its rules only those are tried whose operators these graphs have: one
of the others looks through the whole graph at each node, and takes longer than all else.
"""

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants_ir
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

_RULES = (
    *rules.mul_by_1_rule.commute(),
    rules.div_by_1_rule,
    rules.two_reshapes_matmul_reshape_rule,
    rules.one_reshape_matmul_reshape_rule,
    rules.cast_constant_of_shape_rule,
    rules.cast_constant_of_shape_without_value_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
    rules.min_max_rule,
    rules.max_min_rule,
    rules.cast_cast_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.flatten_to_reshape_rule,
    rules.reshape_reshape_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.squeeze_reshape_1d_rule,
    rules.no_op_dynamic_scatter_nd_rule,
    rules.no_op_static_scatter_nd_rule,
    rules.normalize_pad_format_conv_rule,
    rules.fuse_pad_into_conv_rule,
    rules.remove_optional_bias_from_conv_rule,
)
"""In onnxscript's order: of several that fit a node, the first is taken."""

_ROUNDS = 2


def simplify(model: ir.Model, weights: set[str]) -> None:
    """Simplify a model in place.

    Parameters
    ----------
    weights
        Names of initializers that stay as they are, under their names: small ones would be folded with what follows.
    """
    common.InlinePass()(model)
    rewriting = _rewriting()
    for _ in range(_ROUNDS):
        folded = fold_constants_ir(model, onnx_shape_inference=True, should_fold=lambda node: _keeps(weights, node))
        rewritten = rewriting(model)
        if not folded.modified and not rewritten.modified:
            break
    _tidying()(model)


def _keeps(weights: set[str], node: ir.Node) -> bool | None:
    """Say that a node that reads a weight is not to be folded; leave others to the optimizer."""
    return False if any(value is not None and value.name in weights for value in node.inputs) else None


def _rewriting() -> ir.passes.Sequential:
    return ir.passes.Sequential(
        RewritePass(_RULES),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
    )


def _tidying() -> ir.passes.Sequential:
    return ir.passes.Sequential(
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    )
