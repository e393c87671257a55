"""Sensitivity and mixed recipes of Core AI bundles: damages beside torch's, promises beside the bundle that is made."""

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics.logits import kl_divergence
from amused_edge.benchmarks.metrics.pictures import psnr
from amused_edge.benchmarks.subjects.teacher_forcing import LogitSource, State, follow
from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.modules import conditioner
from amused_edge.quantization.coreai.plan import PlannedWeight, fitting
from amused_edge.quantization.coreai.trials import CoreAITrials
from amused_edge.quantization.recipes.rules import Operator, Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.coreai import COARSE, MIXED, PROMPT, Found, needs_coreai

pytestmark = needs_coreai

Array = NDArray[Any]

# --- The oracle: torch in float32, with weights rounded in float64.


def four_bits(parameter: torch.Tensor, axis: int, dtype: Any) -> torch.Tensor:
    """The nearest multiples of the largest |value| / 7 of each slice along an axis."""
    values = parameter.detach().numpy().astype(dtype).astype(np.float64)
    others = tuple(i for i in range(values.ndim) if i != axis)
    scales = (np.abs(values).max(axis=others, keepdims=True) / 7).astype(dtype).astype(np.float64)
    return torch.from_numpy((np.clip(np.rint(values / scales), -8, 7) * scales).astype(dtype).astype(np.float32))


class Oracle:
    """A checkpoint's own modules, any weight of which can be rounded for a moment."""

    def __init__(self, halves: Bundle) -> None:
        checkpoint: Checkpoint = open_checkpoint(halves.path.parent / "checkpoint")
        self.modules = {
            "text_encoder": checkpoint.text_encoder(),
            "conditioner": checkpoint.conditioner(),
            "denoiser": checkpoint.denoiser(),
            "image_decoder": checkpoint.image_decoder(),
        }
        self.pipeline = AmusedPipeline(halves, EngineOptions())  # its tokenizer and its settings; nothing is loaded
        self.settings = self.pipeline.settings(GenerationOptions())

    def rounded(self, role: str) -> None:
        """Round the weight of a role, for good."""
        parameter = dict(self.modules[role].named_parameters())[COARSE[role]]
        with torch.no_grad():
            decoder = role == "image_decoder"
            parameter.copy_(four_bits(parameter, 0 if decoder else 1, np.float32 if decoder else np.float16))

    def logits(self) -> LogitSource:
        ids = torch.from_numpy(self.pipeline.tokenizer(["", PROMPT]))
        micro = torch.from_numpy(self.pipeline.micro_conditions).expand(2, -1)
        with torch.no_grad():
            outputs = self.modules["conditioner"](*self.modules["text_encoder"](ids), micro)
        given = dict(zip(conditioner.OUTPUTS, outputs, strict=True))

        def guided(_step: int, tokens: Array, rows: Array) -> Array:
            with torch.no_grad():
                branches = self.modules["denoiser"](torch.from_numpy(np.stack([tokens] * 2)), **given).numpy()[:, rows]
            return sampler.guide(branches[0], branches[1], self.settings.guidance_scale)

        return guided

    def states(self) -> list[State]:
        sources = {"": self.logits()}
        return list(follow(sources, "", self.pipeline.geometry, self.settings))

    def picture(self, state: State) -> Array:
        with torch.no_grad():
            found: Array = self.modules["image_decoder"](torch.from_numpy(state.predicted[None])).numpy()
        return found


def test_damages_are_those_of_rounded_weights_in_torch(found: Found, halves: Bundle) -> None:
    """The parent draws in halves and torch in float32: of some states, a token may differ."""
    rows = {row.role: row for row in found.result.rows if COARSE.get(row.role) == row.name}
    assert rows.keys() == COARSE.keys()
    plain = Oracle(halves)
    states = plain.states()
    for role in ("conditioner", "denoiser"):
        changed = Oracle(halves)
        changed.rounded(role)
        source = changed.logits()
        kl = np.concatenate([kl_divergence(s.logits[""], source(s.step, s.tokens, s.rows)) for s in states]).mean()
        assert kl > 1e-5
        assert rows[role].damage.mean_kl == pytest.approx(kl, rel=0.1), role
    changed = Oracle(halves)
    changed.rounded("image_decoder")
    expected = psnr(plain.picture(states[-1]), changed.picture(states[-1]))
    assert rows["image_decoder"].damage.psnr == pytest.approx(expected, abs=1.0)


def test_every_kind_of_rule_is_measured(found: Found) -> None:
    damages = {f"{row.role}/{row.name}": row.damage for row in found.result.rows}
    assert damages.keys() == {rule.tensors for rule in MIXED.rules}
    for place, damage in damages.items():
        assert damage.psnr if place.startswith("image_decoder") else damage.mean_kl, place
    written = json.loads((found.folder / "sensitivity.json").read_text(encoding="utf-8"))
    assert Recipe.from_dict(written["recipe"]).rules == MIXED.rules


def test_a_mixed_recipe_keeps_its_promise(found: Found, made: Bundle) -> None:
    assert found.result.recipe is not None
    added = found.result.recipe.rules[: -len(MIXED.rules)]
    assert added
    assert all(rule.bits > 4 or rule.activations == "float" for rule in added)
    quantization = made.manifest.quantization
    assert quantization is not None
    assert quantization.logits is not None
    assert quantization.logits.mean_kl == pytest.approx(found.result.mean_kl, rel=0.01)
    assert quantization.logits.mean_kl < sum(row.damage.mean_kl or 0.0 for row in found.result.rows)
    assert made.manifest.bytes <= found.budget * 1e6


# --- The ladder.

STARTS: list[tuple[Operator, Rule]] = [
    ("matmul", Rule("*", bits=4, palette=True, group=16, rounding="feedback")),
    ("matmul", Rule("*", bits=4, block=64, rounding="feedback")),
    ("matmul", Rule("*", bits=4)),
    ("matmul", Rule("*", bits=8, activations="static")),
    ("conv", Rule("*", bits=4)),
    ("conv", Rule("*", bits=8, activations="static")),
    ("table", Rule("*", bits=6, palette=True, group=16)),
]


@pytest.mark.parametrize("inputs", [24, 128])
@pytest.mark.parametrize(("operator", "start"), STARTS)
def test_the_ladder_ends_at_what_was_exported(operator: Operator, start: Rule, inputs: int) -> None:
    """Each rung can be carried out, also where blocks do not fit (24), is another, and has no fewer bits."""
    shape = {"matmul": (inputs, 64), "conv": (64, inputs, 3, 3), "table": (64, inputs)}[operator]
    weight = PlannedWeight("weight", ("weight",), operator, shape, 64, 16)
    ladder = CoreAITrials(None, {"denoiser": _Plan({"weight": weight})}, {})  # type: ignore[arg-type, dict-item]
    rungs = [fitting(start, weight, "denoiser")]
    while (above := ladder.gentler("denoiser", "weight", rungs[-1])) is not None:
        assert above == fitting(above, weight, "denoiser")
        assert above != rungs[-1]
        assert above.bits >= rungs[-1].bits
        rungs.append(above)
        assert len(rungs) < 8
    assert rungs[-1] == Rule("*")
    assert len(rungs) > 1
    fed_back = [rung.bits for rung in rungs if rung.rounding == "feedback"]
    assert all(bits < 8 for bits in fed_back)
    assert (6 in [rung.bits for rung in rungs]) == (start.bits < 8)


class _Plan(NamedTuple):
    weights: dict[str, PlannedWeight]
