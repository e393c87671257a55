"""Single weights of Core AI bundles under rules of their own: graphs with them, their bytes, and the rules above.

A trial is a package as `quantize` writes it, all but some weights as exported, run by Core AI's own runtime.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.coreai.apply import Observations, write
from amused_edge.quantization.coreai.plan import GraphPlan, PlannedWeight, fitting
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.target import Trials
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreai.package import package, package_name
from amused_edge.runtime.engines.coreai.process import PackageProcess
from amused_edge.runtime.engines.graph import Arrays, prepare_inputs

SMALL_BLOCK, GROUP = 32, 16


class CoreAITrials(Trials):
    """See `Trials`.

    Parameters
    ----------
    observations
        Role -> what calibration saw, for rules that need it.
    """

    engine = EngineOptions(check_floats=True)
    description_bytes = 1024  # operations and their types; about 300 are used

    def __init__(
        self, bundle: Bundle, plans: Mapping[str, GraphPlan], observations: Mapping[str, Observations]
    ) -> None:
        self.bundle = bundle
        self.plans: Mapping[str, GraphPlan] = plans
        self._observations = observations

    def graph(self, role: str, rules: Mapping[str, Rule]) -> "TrialGraph":
        """See `Trials`."""
        folder = TemporaryDirectory(prefix="amused-edge-", ignore_cleanup_errors=True)
        try:
            made = Path(folder.name) / package_name(role)
            write(package(self.bundle, role), made, rules, self._observations.get(role, Observations()))
            return TrialGraph(PackageProcess(made), folder, role, self.bundle.graph(role))
        except BaseException:
            folder.cleanup()
            raise

    def gentler(self, role: str, name: str, rule: Rule) -> Rule | None:
        """See `Trials`."""
        weight = self.plans[role].weights[name]
        while (above := gentler(rule, weight)) is not None:
            fits = fitting(above, weight, role)
            if fits != rule:
                return fits
            rule = above  # blocks that do not fit are what it has already
        return None

    def stored_bytes(self, role: str, name: str, rule: Rule) -> int:
        """See `Trials`."""
        return stored_bytes(self.plans[role].weights[name], rule)


class TrialGraph:
    """A package that is there as long as it is open; a `Graph`."""

    def __init__(
        self, process: PackageProcess, folder: "TemporaryDirectory[str]", role: str, entry: GraphEntry
    ) -> None:
        self._process = process
        self._folder = folder
        self._role = role
        self._entry = entry

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`; nothing stops it within."""
        return self._process.run(prepare_inputs(self._role, self._entry, inputs))

    def close(self) -> None:
        """End the process and delete the package."""
        self._process.end()
        self._folder.cleanup()


def gentler(rule: Rule, weight: PlannedWeight) -> Rule | None:
    """Return the next rule up the ladder of 4 bits, palettes of 6, 8, 8 in small blocks, as exported; None at its end.

    Rounding with feedback stays until there are 8 bits.
    """
    if rule.bits == 32:
        return None
    if rule.activations == "static":
        return replace(rule, activations="float")
    if rule.bits == 4:
        return replace(rule, bits=6, block=None, symmetric=False, palette=True, group=GROUP)
    small = weight.operator == "matmul" and not (rule.block is not None and rule.block <= SMALL_BLOCK)
    if small or rule.palette:
        return Rule(rule.tensors, operator=rule.operator, bits=8, block=SMALL_BLOCK if small else None)
    return Rule(rule.tensors, operator=rule.operator)


def stored_bytes(weight: PlannedWeight, rule: Rule) -> int:
    """Return how many bytes a weight takes under a rule, with its scales, zero points or palettes."""
    values, width = int(np.prod(weight.shape)), weight.width // 8
    if rule.bits == 32:
        return values * width
    codes = -(-values * rule.bits // 8)
    if rule.palette:
        return codes + weight.outputs // (rule.group or weight.outputs) * (1 << rule.bits) * width
    scales = weight.outputs * (1 if rule.block is None else weight.shape[0] // rule.block)
    zero_points = 0 if rule.symmetric or rule.block is None else -(-scales * rule.bits // 8)
    return codes + scales * width + zero_points
