"""Core ML's w4: what calibration saw, and that its palettes keep a layer's outputs; NumPy in float64 is the judge."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.calibration import CONDITIONED_PER_DRAWN
from amused_edge.quantization.coreml.calibration import Moments, observe
from amused_edge.quantization.coreml.target import CoreMLQuantizationTarget
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.rounding.palettes import palette
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.coreml.program import Name, Operation, read_program
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.stages import Stages

PROMPTS = ("a fox", "a drawing of a panda", "a blue bus")
FEW = Calibration(prompts=1)


def linears(bundle: Bundle, role: str) -> dict[str, Operation]:
    """Weight -> the operation that multiplies with it."""
    program = read_program(bundle.path / f"{role}.mlpackage")
    return {
        op.arguments["weight"].name: op
        for op in program.operations
        if op.operator == "linear" and isinstance(op.arguments["weight"], Name)
    }


def test_moments_are_those_of_what_enters_the_layer(ios17: Bundle) -> None:
    """The conditioner's first layer takes what the text encoder gives, for each prompt once."""
    name = linears(ios17, "conditioner")["encoder_proj_weight"].arguments["x"].name
    found = observe(ios17, {"conditioner": {name}}, FEW, PROMPTS)["conditioner"]
    assert len(PROMPTS) < CONDITIONED_PER_DRAWN
    states = []

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
        graph = load_graph(bundle, role, options)

        class Recording:
            def __call__(self, inputs: Arrays, cancellation: Any = None) -> dict[str, NDArray[Any]]:
                outputs = graph(inputs)
                if role == "text_encoder":
                    states.append(outputs["hidden_states"])
                return outputs

            def close(self) -> None:
                graph.close()

        return Recording()

    with AmusedPipeline(ios17, EngineOptions(simulate="float", remembered_prompts=0), load=load) as pipeline:
        for prompt in PROMPTS:
            pipeline.condition([prompt])
    rows = np.concatenate([state.reshape(-1, state.shape[-1]) for state in states]).astype(np.float64)
    assert set(found) == {name}
    assert found[name] == pytest.approx(rows.T @ rows, rel=1e-3, abs=1e-3 * np.abs(rows.T @ rows).max())


class Fed(NamedTuple):
    """A role by a recipe of 4-bit palettes with feedback."""

    before: dict[str, NDArray[Any]]
    after: dict[str, NDArray[Any]]
    moments: dict[str, NDArray[np.float64]]


def fed_back(parent: Bundle, moments: Moments | None, folder: Path, group: int | None) -> Fed:
    """Write the conditioner; with moments that are given, or from calibration."""
    rule = Rule("conditioner/*", bits=4, palette=True, group=group, rounding="feedback")
    target = CoreMLQuantizationTarget(parent, Recipe("mine", (rule,), FEW), QuantizeOptions(PROMPTS))
    seen = moments
    if seen is None:
        target.prepare(Stages(None, 1))
        seen = target.seen["conditioner"]
    else:
        target.seen["conditioner"] = seen
    target.write("conditioner", BundleWriter(folder))
    made = read_program(folder / "conditioner.mlpackage")
    users = {op.name: op.arguments["weight"].name for op in made.operations if op.operator == "linear"}
    uses = linears(parent, "conditioner")
    before = read_program(parent.path / "conditioner.mlpackage").constants
    return Fed(
        {name: before[name].value for name in uses},
        {name: made.constants[users[op.name]].value for name, op in uses.items()},
        {name: seen[op.arguments["x"].name] for name, op in uses.items()},
    )


def errors(made: Fed, group: int | None) -> list[tuple[float, float]]:
    """Expected squared error of each layer's outputs as written, and with the nearest values of plain palettes."""
    found = []
    for name, weight in made.before.items():
        size = group if group is not None and len(weight) % group == 0 else len(weight)
        parts = [weight[i : i + size] for i in range(0, len(weight), size)]
        plain = np.concatenate([palette(part, 4).expand() for part in parts])
        changes = [rounded.astype(np.float64) - weight for rounded in (made.after[name], plain)]
        a, b = (float(np.einsum("nk,kl,nl->", c, made.moments[name], c)) for c in changes)
        found.append((a, b))
        for first in range(0, len(weight), size):
            assert len(np.unique(made.after[name][first : first + size])) <= 16
    return found


@pytest.mark.parametrize("ios", [17, 18])
def test_outputs_are_kept_better_than_by_the_nearest_values(
    ios: int, ios17: Bundle, ios18: Bundle, tmp_path: Path
) -> None:
    """No layer is worse, and all together much better; with iOS 18 by groups, some of which do not divide a layer."""
    group = 16 if ios == 18 else None
    first = fed_back(ios17, None, tmp_path, None)
    made = first
    if ios == 18:
        values = {op.arguments["x"].name: first.moments[n] for n, op in linears(ios18, "conditioner").items()}
        (tmp_path / "18").mkdir()
        made = fed_back(ios18, values, tmp_path / "18", group)
    found = errors(made, group)
    assert all(a <= b * (1 + 1e-9) for a, b in found)
    assert sum(a < 0.6 * b for a, b in found) > len(found) / 2
