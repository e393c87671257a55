"""What a quantization may choose beside its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from amused_edge.benchmarks.subjects.prompts import BUILT_IN
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import OptionsError, quoted

FIDELITY_PROMPTS = 8


@dataclass(frozen=True)
class QuantizeOptions:
    """What a quantization may choose beside its recipe.

    Attributes
    ----------
    prompts
        Calibration draws the first of them, the account the last. None: prompts that are built in.
    calibration_prompts
        How many calibration draws; None: what the recipe says.
    fidelity_prompts
        How many pictures the account draws, 1 or more.
    """

    prompts: Sequence[str] | None = None
    calibration_prompts: int | None = None
    fidelity_prompts: int = FIDELITY_PROMPTS

    def __post_init__(self) -> None:
        if self.prompts is not None and (isinstance(self.prompts, str) or not self.prompts):
            raise OptionsError(
                f"prompts is {quoted(self.prompts)}; give a list of one or more, or None for built-in ones"
            )
        whole_number("fidelity_prompts", self.fidelity_prompts, minimum=1)
        if self.calibration_prompts is not None:
            whole_number("calibration_prompts", self.calibration_prompts, minimum=1)

    @property
    def prompt_list(self) -> tuple[str, ...]:
        """The prompts."""
        return tuple(self.prompts) if self.prompts is not None else BUILT_IN

    @property
    def measured_prompts(self) -> tuple[str, ...]:
        """The prompts whose pictures are compared."""
        return self.prompt_list[-self.fidelity_prompts :]

    def adapt(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the number of calibration prompts that was asked for."""
        if recipe.calibration is None or self.calibration_prompts is None:
            return recipe
        return replace(recipe, calibration=replace(recipe.calibration, prompts=self.calibration_prompts))
