"""Rewrites a graph into the operators that ONNX Runtime computes fastest on CPUs.

They are operators of the engine and not of the ONNX standard: only ONNX Runtime runs such a graph. What they compute
is the same: attention in tiles, so that no scores are written to memory and the heads need no transposes; RMS norms in
one pass, which the engine does not find by itself where it moves a transpose into them.
"""

from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter.pattern import MatchResult, RewriteRuleClassBase, RewriteRuleSet

from amused_edge.export.onnx.sliced_norms import SlicedNorm
from amused_edge.runtime.checks import present

CONTRIB = "com.microsoft"

_SPLIT_HEADS = [0, 2, 1, 3]
"""(B, N, H, d) -> (B, H, N, d), and back."""


def rewrite_for_cpu(model: ir.Model) -> int:
    """Rewrite every attention, RMS norm and large group norm of a graph, in place; return how many were found."""
    found: int = _RULES.apply_to_model(model)
    if found:
        model.opset_imports[CONTRIB] = 1
        RemoveUnusedNodesPass()(model)
    return found


class _RMSNorm(RewriteRuleClassBase):  # type: ignore[misc]
    """`x / sqrt(mean(x^2) + eps) * weight` over the last axis -> SimplifiedLayerNormalization."""

    def pattern(self, op: Any, x: Any, axes: Any, eps: Any, weight: Any) -> Any:
        """See `RewriteRuleClassBase`."""
        mean = op.ReduceMean(op.Pow(x, 2.0), axes, keepdims=1)
        return op.Mul(op.Div(x, op.Sqrt(op.Add(mean, eps))), weight)

    def check(self, context: Any, x: ir.Value, axes: ir.Value, eps: ir.Value, weight: ir.Value) -> MatchResult:
        """See `RewriteRuleClassBase`."""
        result = MatchResult()
        if any(value.const_value is None for value in (axes, eps, weight)):
            return result.fail("axes, epsilon or weight are no constants")
        if x.shape is None or weight.shape is None or list(weight.shape) != [x.shape[-1]]:
            return result.fail("the weight is not one of each channel")
        if present(axes.const_value, "the constant of the axes").numpy().tolist() not in ([-1], [len(x.shape) - 1]):
            return result.fail("the mean is not of the last axis")
        return result

    def rewrite(self, op: Any, x: ir.Value, axes: ir.Value, eps: ir.Value, weight: ir.Value) -> Any:
        """See `RewriteRuleClassBase`."""
        epsilon = float(present(eps.const_value, "the constant of epsilon").numpy().item())
        return op.SimplifiedLayerNormalization(x, weight, axis=-1, epsilon=epsilon, stash_type=1)


class _Attention(RewriteRuleClassBase):  # type: ignore[misc]
    """`softmax(q k^T) v` of heads, as `layers.attend` is traced -> MultiHeadAttention on rows of all heads."""

    def _attended(self, op: Any, query: Any, transposed_key: Any, value: Any, merged: Any) -> Any:
        weights = op.Softmax(op.MatMul(query, transposed_key), axis=-1)
        heads = op.Transpose(op.MatMul(weights, value), perm=_SPLIT_HEADS)
        return op.Reshape(heads, merged)

    def check(self, context: Any, heads: ir.Value, **_: Any) -> MatchResult:
        """See `RewriteRuleClassBase`."""
        result = MatchResult()
        if heads.shape is None or len(heads.shape) != 4 or not isinstance(heads.shape[2], int):
            return result.fail("the number of heads is not known")
        return result

    def _node(self, op: Any, query: ir.Value, key: ir.Value, value: ir.Value, heads: ir.Value, scale: float) -> Any:
        count = int(present(heads.shape, "the shape of the heads")[2])
        return op.MultiHeadAttention(query, key, value, num_heads=count, scale=scale, _domain=CONTRIB)


class _SelfAttention(_Attention):
    """Queries, keys and values are rows (B, N, H*d) that a graph splits into heads."""

    def pattern(
        self, op: Any, query: Any, key: Any, value: Any, scale: Any, shape: Any, key_shape: Any, merged: Any
    ) -> Any:
        """See `RewriteRuleClassBase`."""
        scaled = op.Mul(op.Transpose(op.Reshape(query, shape, _outputs=["heads"]), perm=_SPLIT_HEADS), scale)
        transposed_key = op.Transpose(op.Reshape(key, key_shape), perm=[0, 2, 3, 1])
        values = op.Transpose(op.Reshape(value, key_shape), perm=_SPLIT_HEADS)
        return self._attended(op, scaled, transposed_key, values, merged)

    def check(self, context: Any, heads: ir.Value, **values: Any) -> MatchResult:
        """See `RewriteRuleClassBase`."""
        result, scale = super().check(context, heads), values["scale"]
        if scale.const_value is None or scale.const_value.size != 1:
            return result.fail("the scale is no constant number")
        return result

    def rewrite(
        self, op: Any, query: ir.Value, key: ir.Value, value: ir.Value, scale: ir.Value, heads: ir.Value, **_: Any
    ) -> Any:
        """See `RewriteRuleClassBase`."""
        factor = present(scale.const_value, "the constant of the scale").numpy().item()
        return self._node(op, query, key, value, heads, float(factor))


class _CrossAttention(_Attention):
    """Keys and values (B, H, M, d) come from outside, with the scale in the keys."""

    def pattern(self, op: Any, query: Any, key: Any, value: Any, shape: Any, merged: Any) -> Any:
        """See `RewriteRuleClassBase`."""
        split = op.Transpose(op.Reshape(query, shape, _outputs=["heads"]), perm=_SPLIT_HEADS)
        return self._attended(op, split, op.Transpose(key, perm=[0, 1, 3, 2]), value, merged)

    def rewrite(self, op: Any, query: ir.Value, key: ir.Value, value: ir.Value, heads: ir.Value, **_: Any) -> Any:
        """See `RewriteRuleClassBase`."""
        return self._node(op, query, key, value, heads, 1.0)


_RULES = RewriteRuleSet([SlicedNorm.rule(), _RMSNorm.rule(), _SelfAttention.rule(), _CrossAttention.rule()])
