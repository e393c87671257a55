"""Computes large group norms, and the SiLU after them, a few groups at a time.

Groups know nothing of each other, so the numbers stay the same, but a decoder's peak memory is no longer several copies
of its largest tensor.
"""

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRuleClassBase

from amused_edge.runtime.checks import present

SLICE_BYTES = 8 * 2**20
"""Most that a slice takes in float32, if its groups allow it."""


class SlicedNorm(RewriteRuleClassBase):  # type: ignore[misc]
    """GroupNorm with SiLU, as it is traced -> the same of slices of channels, put together again."""

    def pattern(self, op: Any, x: Any, flat: Any, ones: Any, zeros: Any, weight: Any, bias: Any, axes: Any) -> Any:
        """See `RewriteRuleClassBase`."""
        rows = op.Reshape(x, flat)
        normed = op.Reshape(op.InstanceNormalization(rows, ones, zeros, _outputs=["norm"]), op.Shape(x))
        scaled = op.Add(op.Mul(normed, op.Unsqueeze(weight, axes)), op.Unsqueeze(bias, axes))
        return op.Mul(scaled, op.Sigmoid(scaled))

    def check(self, context: Any, x: ir.Value, **values: Any) -> MatchResult:
        """See `RewriteRuleClassBase`."""
        result = MatchResult()
        if any(values[name].const_value is None for name in ("ones", "zeros", "weight", "bias")):
            return result.fail("weights are no constants")
        if x.shape is None or len(x.shape) != 4 or not all(isinstance(side, int) for side in x.shape[1:]):
            return result.fail("it is no picture of known size")
        if _slices(x, values["ones"]) == 1:
            return result.fail("it is small")
        return result

    def rewrite(
        self,
        op: Any,
        x: ir.Value,
        ones: ir.Value,
        zeros: ir.Value,
        weight: ir.Value,
        bias: ir.Value,
        norm: ir.Value,
        **_: Any,
    ) -> Any:
        """See `RewriteRuleClassBase`."""
        channels, height, width = (int(side) for side in present(x.shape, "the shape of a norm's input")[1:])
        (groups,) = _values(ones).shape
        count = _slices(x, ones)
        node = present(norm.producer(), "what computes a norm")
        epsilon = node.attributes["epsilon"].as_float()

        parts = []
        for index in range(count):

            def constant(name: str, values: Any, suffix: str = f"slice.{index}") -> Any:
                name = f"{name}.{suffix}"
                return op.initializer(ir.tensor(np.ascontiguousarray(values), name=name), name=name)

            here = [part * index // count for part in (channels, groups)]
            after = [part * (index + 1) // count for part in (channels, groups)]
            of_channels, of_groups = (slice(a, b) for a, b in zip(here, after, strict=True))
            edges = (("first", here[0]), ("last", after[0]), ("axis", 1))
            part = op.Slice(x, *(constant(f"{weight.name}.{name}", np.array([value])) for name, value in edges))
            rows = op.Reshape(part, constant(f"{weight.name}.rows", np.array([0, groups // count, -1])))
            units = (("ones", ones), ("zeros", zeros))
            unit = [constant(f"{weight.name}.{name}", _values(v)[of_groups]) for name, v in units]
            normed = op.InstanceNormalization(rows, *unit, epsilon=epsilon)
            shape = np.array([0, channels // count, height, width])
            picture = op.Reshape(normed, constant(f"{weight.name}.shape", shape))
            own = [constant(str(v.name), _values(v)[of_channels, None, None]) for v in (weight, bias)]
            scaled = op.Add(op.Mul(picture, own[0]), own[1])
            parts.append(op.Mul(scaled, op.Sigmoid(scaled)))
        return op.Concat(*parts, axis=1)


def _slices(x: ir.Value, ones: ir.Value) -> int:
    """Return the least number of slices of whole groups that are small enough, or as many as there are groups."""
    size = 4 * math.prod(int(side) for side in present(x.shape, "the shape of a norm's input")[1:])
    (groups,) = _values(ones).shape
    divisors = [count for count in range(1, groups + 1) if groups % count == 0]
    return next((count for count in divisors if size <= count * SLICE_BYTES), groups)


def _values(value: ir.Value) -> np.ndarray[Any, np.dtype[np.float32]]:
    values: np.ndarray[Any, np.dtype[np.float32]] = present(value.const_value, "the constant of a norm").numpy()
    return values
