"""What graphs ran in, as shares of time, held against what a name promises. Profiles are read in `profiling`."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

KEPT = 0.5
"""A promise is kept if this share of the products' time, or more, ran as promised."""

_PROMISES = {
    "int8": re.compile(r"(?<![a-z0-9])(w\d+a8|a8|int8|i8)(?![0-9])", re.IGNORECASE),
    "float16": re.compile(r"(?<![a-z0-9])(fp16|float16|f16|half)(?![a-z0-9])", re.IGNORECASE),
}


@dataclass(frozen=True)
class Operator:
    """All nodes of one kind in one graph.

    Attributes
    ----------
    name
        The engine's, for example "DynamicQuantizeMatMul".
    precision
        What it computes in: "int8", "float16", "float32"; "conversion" where it changes one into another; "other" for
        indices, shapes and truth values.
    seconds
        A call of the graph.
    product
        Whether it is a matrix product or convolution, which do nearly all of the arithmetic.
    operations
        Multiplications and additions of a call, of products; 0 of others.
    """

    name: str
    precision: str
    nodes: int
    seconds: float
    product: bool
    operations: float = 0.0


@dataclass(frozen=True)
class Audit:
    """What one graph ran in.

    Attributes
    ----------
    operators
        The slowest first.
    """

    operators: tuple[Operator, ...]

    def shares(self, products: bool = False) -> dict[str, float]:
        """Return precision -> share of the time, the largest first; of the products' time if asked."""
        chosen = [operator for operator in self.operators if operator.product or not products]
        total = sum(operator.seconds for operator in chosen)
        seconds: dict[str, float] = defaultdict(float)
        for operator in chosen:
            seconds[operator.precision] += operator.seconds
        return {name: value / total for name, value in sorted(seconds.items(), key=lambda item: -item[1]) if total}

    @staticmethod
    def of_picture(stages: "Mapping[str, Audit]", steps: int, branches: int) -> "Audit":
        """Return what a whole picture ran in: the denoiser `steps` times, the text's graphs once for each branch."""
        calls = {"denoiser": steps, "text_encoder": branches, "conditioner": branches}
        operators = [
            replace(operator, seconds=operator.seconds * calls.get(stage, 1))
            for stage, audit in stages.items()
            for operator in audit.operators
        ]
        return Audit(tuple(sorted(operators, key=lambda operator: -operator.seconds)))

    def contradiction(self, promised: str | None) -> str | None:
        """Return what is wrong with a promise ("int8" or "float16"), or None where it is kept or none was made."""
        shares = self.shares(products=True)
        if promised is None or not shares or shares.get(promised, 0.0) >= KEPT:
            return None
        most, share = next(iter(shares.items()))
        return f"promises {promised}, ran {share:.0%} in {most}"


def promised_precision(*names: str) -> str | None:
    """Return the arithmetic that names (a bundle's label, its recipe) promise: "int8", "float16" or None.

    "w8a8" and "int8" promise 8-bit arithmetic, "fp16" and "half" halves; "w8" and "w4" are about weights only.
    """
    for precision, pattern in _PROMISES.items():
        if any(pattern.search(name) for name in names):
            return precision
    return None
