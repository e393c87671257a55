"""From a table of damages to a mixed recipe: fewer bits where it costs little, more where it hurts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.plan import GraphPlan
from amused_edge.quantization.recipes.rules import PER_CHANNEL, Recipe, Rule
from amused_edge.quantization.sensitivity.damage import DamageMeter, Row, Rules
from amused_edge.quantization.sensitivity.sizes import stored_bytes
from amused_edge.runtime.checks import present

_MEGABYTE = 1_000_000


def gentler(rule: Rule) -> Rule | None:
    """Return the next rule up the ladder of 4 bits, 8, 8 in small blocks, 16; None at its end."""
    if rule.bits >= 16:
        return None
    if rule.bits == 4:
        return replace(rule, bits=8, block=64, rounding="nearest")
    if rule.activations == "static":
        return replace(rule, activations="float")
    if rule.activations in PER_CHANNEL:
        return replace(rule, activations="blockwise", block=32, symmetric=True)
    if rule.block is not None and (rule.block > 32 or rule.activations == "blockwise"):
        return replace(rule, activations="float", block=min(rule.block, 32), symmetric=False, rounding="nearest")
    return Rule(rule.tensors, operator=rule.operator, bits=16)


@dataclass
class _Choice:
    """What a weight has now, and what that costs."""

    row: Row
    rule: Rule
    damage: float
    bytes: int


class Mixer:
    """Climbs the ladder with the weights whose damage per byte is largest, until a limit is met.

    The damages of single weights are taken to add up; what came of it is measured in the end.

    Parameters
    ----------
    rows
        Of `measure_each`. Weights of the image roles keep their rules: their damage is no KL.
    total_bytes
        Of the bundle if every weight has its recipe's rule.
    """

    def __init__(self, meter: DamageMeter, plans: dict[str, GraphPlan], rows: list[Row], total_bytes: int) -> None:
        self._meter = meter
        self._plans = plans
        self._bytes = total_bytes
        self._choices = [
            _Choice(row, row.rule, row.damage.mean_kl, row.bytes) for row in rows if row.damage.mean_kl is not None
        ]

    def lower_kl(self, limit: float, on_step: Callable[[str], None]) -> float:
        """Climb until the measured mean KL is at most `limit`, in nats; return it.

        Raises
        ------
        QuantizationError
            It is not reached even at the top of the ladder.
        """
        target = limit
        while True:
            while sum(choice.damage for choice in self._choices) > target and self._climb(on_step):
                pass
            measured = self.measure()
            if measured <= limit:
                return measured
            if not self._climb(on_step):
                raise QuantizationError(
                    f"a mean KL of {limit:g} nats is not reached: with more bits wherever there was damage it is "
                    f"{measured:.3g}"
                )
            target = min(target, sum(choice.damage for choice in self._choices)) * min(0.9, limit / measured)

    def fill_budget(self, budget: float, on_step: Callable[[str], None]) -> float:
        """Climb while the bundle stays within `budget` megabytes; return the measured mean KL.

        Raises
        ------
        QuantizationError
            The recipe is above the budget before any step.
        """
        if self._bytes > budget * _MEGABYTE:
            raise QuantizationError(
                f"the recipe takes {self._bytes / _MEGABYTE:.1f} MB, more than the budget of {budget:g} MB; start from "
                "a smaller recipe"
            )
        while self._climb(on_step, budget * _MEGABYTE):
            pass
        return self.measure()

    def measure(self) -> float:
        """Return the mean KL of all choices together."""
        rules: Rules = {(c.row.role, c.row.name): c.rule for c in self._choices}
        return present(self._meter.measure(rules).mean_kl, "the damage of all choices")

    def recipe(self, base: Recipe, name: str) -> Recipe:
        """Return the choices as a recipe: a rule for each weight that differs from the base, then the base's rules."""
        changed = [
            replace(c.rule, tensors=f"{c.row.role}/{_literal(c.row.name)}", operator=None)
            for c in self._choices
            if c.rule != c.row.rule
        ]
        return Recipe(name, (*changed, *base.rules), base.calibration)

    def _next(self, choice: _Choice) -> tuple[Rule, int] | None:
        rule = gentler(choice.rule)
        if rule is None:
            return None
        weight = self._plans[choice.row.role].weights[choice.row.name]
        return rule, stored_bytes(weight.shape, weight.operator, rule)

    def _climb(self, on_step: Callable[[str], None], limit: float | None = None) -> bool:
        """Take the step with the largest damage per added byte; say whether there was one."""
        steps = []
        for choice in self._choices:
            step = self._next(choice)
            if step is None or choice.damage <= 0:
                continue
            added = step[1] - choice.bytes
            if limit is None or self._bytes + added <= limit:
                steps.append((choice.damage / max(added, 1), choice, step))
        if not steps:
            return False
        _, choice, (rule, size) = max(steps, key=lambda step: step[0])
        on_step(f"{choice.row.role}/{choice.row.name}")
        measured = self._meter.measure({(choice.row.role, choice.row.name): rule})
        damage = present(measured.mean_kl, f"the damage of {choice.row.name}")
        self._bytes += size - choice.bytes
        choice.rule, choice.damage, choice.bytes = rule, min(damage, choice.damage), size
        return True


def _literal(name: str) -> str:
    """Return a pattern that matches this name only."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
