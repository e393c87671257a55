"""From a table of damages to a mixed recipe: fewer bits where it costs little, more where it hurts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.sensitivity.damage import DamageMeter, Row, Rules
from amused_edge.quantization.target import Trials
from amused_edge.runtime.checks import present

_MEGABYTE = 1_000_000


def bundle_bytes(trials: Trials) -> int:
    """Return how large a bundle made by the plans is at most: weights as their rules say, the rest as in the parent,
    and what describes each changed weight in its graph.
    """
    total = trials.bundle.manifest.bytes
    for role, plan in trials.plans.items():
        for name, rule in plan.rules.items():
            if rule.bits < 32:
                now, before = (trials.stored_bytes(role, name, each) for each in (rule, Rule(name)))
                total += now - before + trials.description_bytes
    return total


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

    def __init__(self, meter: DamageMeter, trials: Trials, rows: list[Row], total_bytes: int) -> None:
        self._meter = meter
        self._trials = trials
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
        place = (choice.row.role, choice.row.name)
        rule = self._trials.gentler(*place, choice.rule)
        return None if rule is None else (rule, self._trials.stored_bytes(*place, rule))

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
