"""Recipes: which weight is stored in how many bits and computed with how. Data, not code: a recipe is a JSON file.

A recipe is a list of rules; a weight follows the first whose pattern and operator fit, and stays as it is if none does.
Biases, norm weights and what is no factor of a product stay too (halves, where a graph computes in halves).
"""

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from amused_edge.quantization.errors import RecipeError
from amused_edge.runtime.errors import quoted

Operator = Literal["matmul", "conv", "table"]
Activations = Literal["float", "half", "dynamic", "rowwise", "blockwise", "static"]
Rounding = Literal["nearest", "feedback"]
Ranges = Literal["minmax", "percentile", "mse"]

RANKS: dict[Operator, int] = {"matmul": 2, "conv": 4, "table": 2}
"""Axes of a weight."""

_COMPUTE: dict[Activations, tuple[set[int], set[Operator]]] = {
    "float": ({4, 6, 8, 16, 32}, {"matmul", "conv", "table"}),
    "half": ({16}, {"matmul", "conv", "table"}),
    "dynamic": ({8}, {"matmul"}),
    "rowwise": ({8}, {"matmul"}),
    "blockwise": ({4, 8}, {"matmul"}),
    "static": ({8}, {"matmul", "conv"}),
}
"""How activations are treated -> bits and operators for which that exists."""

PER_CHANNEL: tuple[Activations, ...] = ("dynamic", "rowwise")
"""Activations that go with one scale per output channel, and no block."""

SMALLEST_BLOCK = 16


@dataclass(frozen=True)
class Rule:
    """What becomes of some weights.

    Attributes
    ----------
    tensors
        Pattern (`*`, `?`, `[...]`) of ROLE/NAME, for example `denoiser/*.ff.net.2.weight`; NAME is the graph's or the
        checkpoint's. Dots and underscores are the same, because Core ML's names have no dots.
    operator
        "matmul", "conv" (convolutions) or "table" (looked up by row); None: any.
    bits
        4, 6, 8, 16 or 32 (left as it is). With ONNX, 4 bits are for matmuls; 6 bits are for palettes.
    block
        Of a matmul: how many inputs share a scale, a power of two from 16 on; None: all inputs of an output channel.
        Convolutions have one scale per output channel, tables one per row. With Core ML, blocks need iOS 18. With Core
        AI a block that does not divide the inputs is halved until it does.
    symmetric
        Of blocks: zero points fixed in the middle, and not stored.
    activations
        What the product is computed in. "float": float32; "half": float16, where the engine has it. Else 8-bit
        activations, with scales taken at run time: one per tensor ("dynamic"), one per row, which is a token
        ("rowwise"), or one per row and block ("blockwise"); or "static": one scale per tensor, from calibration.
    rounding
        "nearest", or "feedback" (GPTQ, needs calibration): of a matmul's blocks or palettes; all else is rounded to
        nearest.
    palette
        Codes are places in a list of 2^bits values (k-means), not multiples of a scale. Core ML and Core AI have that.
    group
        Of a palette: how many output channels share one; None: all. Before iOS 18 all do.
    """

    tensors: str
    operator: Operator | None = None
    bits: int = 32
    block: int | None = None
    symmetric: bool = False
    activations: Activations = "float"
    rounding: Rounding = "nearest"
    palette: bool = False
    group: int | None = None

    def __post_init__(self) -> None:
        where = f"rule {quoted(self.tensors)}"
        _one_of(where, "operator", self.operator, (None, *get_args(Operator)))
        _one_of(where, "activations", self.activations, get_args(Activations))
        _one_of(where, "rounding", self.rounding, get_args(Rounding))
        _one_of(where, "bits", self.bits, (4, 6, 8, 16, 32))
        _one_of(where, "symmetric", self.symmetric, (True, False))
        _one_of(where, "palette", self.palette, (True, False))
        bits, operators = _COMPUTE[self.activations]
        if self.bits not in bits:
            choices = ", ".join(str(b) for b in sorted(bits))
            raise RecipeError(
                f"{where}: {quoted(self.activations)} activations go with {choices} bits, not {self.bits}"
            )
        if self.operator is not None and self.operator not in operators:
            raise RecipeError(f"{where}: {quoted(self.activations)} activations are not for {self.operator}")
        self._check_block(where)
        self._check_palette(where)

    def _check_block(self, where: str) -> None:
        if self.block is not None:
            power = type(self.block) is int and self.block >= SMALLEST_BLOCK and self.block & (self.block - 1) == 0
            if not power:
                raise RecipeError(
                    f"{where}: block is {quoted(self.block)}; give a power of two from {SMALLEST_BLOCK} on"
                )
            if self.bits > 8 or self.activations in (*PER_CHANNEL, "static"):
                raise RecipeError(
                    f"{where}: {self.bits} bits with {quoted(self.activations)} activations take no block"
                )
        if self.rounding == "feedback" and self.block is None and not self.palette:
            raise RecipeError(f"{where}: rounding 'feedback' is for blocks and palettes; give a block or a palette")

    def _check_palette(self, where: str) -> None:
        if self.palette:
            if self.bits > 8 or self.activations != "float" or self.block is not None:
                raise RecipeError(f"{where}: a palette has up to 8 bits, 'float' activations, no block")
        elif self.bits == 6 or self.group is not None:
            raise RecipeError(f'{where}: 6 bits and groups are for palettes; add "palette": true')
        if self.group is not None and (type(self.group) is not int or self.group < 1):
            raise RecipeError(
                f"{where}: group is {quoted(self.group)}; give a whole number of output channels from 1 on"
            )

    def matches(self, role: str, names: Iterable[str], operator: Operator) -> bool:
        """Say whether a weight falls under the rule."""
        fits = self.operator in (None, operator)
        pattern = self.tensors.replace(".", "_")
        return fits and any(fnmatch.fnmatchcase(f"{role}/{name}".replace(".", "_"), pattern) for name in names)

    def check_fits(self, role: str, name: str, operator: Operator) -> None:
        """Raise `RecipeError` if the rule cannot be applied to a weight of an ONNX graph that it matches."""
        weight, message = f"{role}/{name}, a {operator}", None
        if self.palette:
            message = "a palette"
        elif operator not in _COMPUTE[self.activations][1] or (self.activations, operator) == ("static", "matmul"):
            message = f"{quoted(self.activations)} activations"
        elif self.bits == 4 and operator != "matmul":
            message = "4 bits"
        elif operator == "matmul" and self.bits < 16 and self.block is None and self.activations not in PER_CHANNEL:
            message = f"{self.bits} bits with {quoted(self.activations)} activations and no block"
        if message is not None:
            raise RecipeError(
                f"rule {quoted(self.tensors)} asks for {message} of {weight}, which no engine computes; narrow its "
                "pattern or name an operator"
            )


@dataclass(frozen=True)
class Calibration:
    """What static ranges and error feedback are measured on: seeded generations of the parent bundle.

    Attributes
    ----------
    prompts
        How many of the prompts are drawn, 1 or more.
    ranges
        How a static range is chosen: "minmax" (all values), "percentile" (all but 0.01 % on each side), "mse" (the
        least squared error).
    """

    prompts: int = 16
    ranges: Ranges = "mse"

    def __post_init__(self) -> None:
        if type(self.prompts) is not int or self.prompts < 1:
            raise RecipeError(f"calibration: prompts is {quoted(self.prompts)}; it must be a whole number from 1 on")
        _one_of("calibration", "ranges", self.ranges, get_args(Ranges))


@dataclass(frozen=True)
class Recipe:
    """A named list of rules.

    Attributes
    ----------
    rules
        The first that matches a weight is followed.
    calibration
        None if nothing needs it.
    """

    name: str
    rules: tuple[Rule, ...]
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if not self.name.strip(". ") or not self.name.isprintable() or any(mark in self.name for mark in "/\\"):
            raise RecipeError(f"a recipe's name is {quoted(self.name)}; it must also do as the name of a folder")
        if not self.rules:
            raise RecipeError(f"recipe {quoted(self.name)} has no rules")
        needing = [r for r in self.rules if r.activations == "static" or r.rounding == "feedback"]
        if needing and self.calibration is None:
            raise RecipeError(
                f"recipe {quoted(self.name)} needs a calibration: rule {quoted(needing[0].tensors)} has static "
                "activations or rounding 'feedback'"
            )

    def rule(self, role: str, names: Sequence[str], operator: Operator) -> Rule:
        """Return what a weight follows."""
        for rule in self.rules:
            if rule.matches(role, names, operator):
                return rule
        return Rule(f"{role}/{names[0]}")

    def check_matches(self, weights: Iterable[tuple[str, Sequence[str], Operator]]) -> None:
        """Raise `RecipeError` if a rule matches none of the weights, each given as (role, names, operator)."""
        known = list(weights)
        for rule in self.rules:
            if not any(rule.matches(*weight) for weight in known):
                what = "weight" if rule.operator is None else f"weight of a {rule.operator}"
                raise RecipeError(
                    f"recipe {quoted(self.name)}: the pattern {quoted(rule.tensors)} matches no {what}; patterns are "
                    "matched with ROLE/NAME, for example denoiser/transformer_layers.0.ff.net.2.weight"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a recipe file; what equals its default is left out."""
        rules = [_without_defaults(rule) for rule in self.rules]
        content: dict[str, Any] = {"name": self.name, "rules": rules}
        if self.calibration is not None:
            content["calibration"] = asdict(self.calibration)
        return content

    def to_json(self) -> str:
        """Return the text of a recipe file."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def from_dict(content: object) -> "Recipe":
        """Build a recipe from the content of a recipe file.

        Raises
        ------
        RecipeError
            A field is missing, unknown or not valid.
        """
        values = _checked("a recipe", content, Recipe)
        rules = values["rules"]
        if not isinstance(values["name"], str) or not isinstance(rules, list):
            raise RecipeError("a recipe has a 'name' (text) and 'rules' (a list)")
        built = []
        for rule in rules:
            given = _checked("a rule", rule, Rule)
            if not isinstance(given["tensors"], str):
                raise RecipeError(
                    f"a rule's 'tensors' is {quoted(given['tensors'])}; it must be a pattern of ROLE/NAME"
                )
            built.append(Rule(**given))
        calibration = values.get("calibration")
        if calibration is not None:
            calibration = Calibration(**_checked("a calibration", calibration, Calibration))
        return Recipe(values["name"], tuple(built), calibration)


def _without_defaults(rule: Rule) -> dict[str, Any]:
    return {f.name: value for f in fields(rule) if (value := getattr(rule, f.name)) != f.default or f.name == "bits"}


def _checked(what: str, content: object, kind: type[Any]) -> Mapping[str, Any]:
    """Check that an object has the fields of a dataclass and no others."""
    if not isinstance(content, dict):
        raise RecipeError(f"{what} is {quoted(content)}; it must be a JSON object")
    known = [f.name for f in fields(kind)]
    for name in content:
        if name not in known:
            raise RecipeError(f"{what} has the unknown field {quoted(name)}; known are {', '.join(known)}")
    for name in ("name", "rules", "tensors"):
        if name in known and name not in content:
            raise RecipeError(f"{what} lacks the field {quoted(name)}")
    return content


def _one_of(where: str, name: str, value: object, choices: tuple[Any, ...]) -> None:
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        shown = ", ".join(repr(choice) for choice in choices)
        raise RecipeError(f"{where}: {name} is {quoted(value)}; choose {shown}")
