"""How much each weight suffers from its rule, measured one at a time, everything else as in the parent."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from amused_edge.benchmarks.metrics.logits import kl_divergence
from amused_edge.benchmarks.metrics.pictures import psnr
from amused_edge.benchmarks.subjects.teacher_forcing import State, follow, logit_source
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.target import Trials
from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.rows import of_any_batch
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions

STATES_PER_PROMPT = 4
"""Steps of a generation that are asked about, evenly spread."""

Rules = dict[tuple[str, str], Rule]
"""(role, weight) -> rule; what is not there stays as in the parent."""


@dataclass(frozen=True)
class Damage:
    """What changing some weights did.

    Attributes
    ----------
    mean_kl
        KL(parent || changed) of guided logits on masked rows, in nats; None for the image roles.
    psnr
        Of decoded pictures, in dB: None where they are equal, and for other roles.
    equal_codes
        Share of codes that the image encoder still chooses; None for other roles.
    """

    mean_kl: float | None = None
    psnr: float | None = None
    equal_codes: float | None = None


class DamageMeter:
    """Asks a parent bundle once for its logits, pictures and codes, then changed ones again and again.

    Parameters
    ----------
    prompts
        One picture of each is drawn with the parent.
    """

    def __init__(self, trials: Trials, prompts: tuple[str, ...]) -> None:
        self._trials = trials
        self._bundle = trials.bundle
        self._parent = AmusedPipeline(self._bundle, trials.engine)
        self._settings = self._parent.settings(GenerationOptions())
        self._states: list[tuple[str, State]] = []
        self._grids: list[IntArray] = []
        for index, prompt in enumerate(prompts):
            self._draw(prompt, index)
        self._pictures: list[ImageArray] = []
        self._codes: list[IntArray] = []

    def close(self) -> None:
        """Release the parent's graphs."""
        self._parent.close()

    def measure(self, rules: Rules) -> Damage:
        """Return what changing these weights, all at once, does; the roles are all of one kind: logits or pictures."""
        with ExitStack() as stack:
            changed = {}
            for role in {role for role, _ in rules}:
                changed[role] = self._changed(role, rules)
                stack.callback(changed[role].close)
            if changed.keys() & {"image_decoder", "image_encoder"}:
                return self._image_damage(changed)
            return Damage(mean_kl=self._mean_kl(changed))

    def _draw(self, prompt: str, index: int) -> None:
        source = logit_source(self._parent, prompt, self._settings)
        states = list(follow({"": source}, "", self._parent.geometry, self._settings, picture=index))
        chosen = np.linspace(0, len(states) - 1, min(STATES_PER_PROMPT, len(states))).round().astype(int)
        self._states += [(prompt, states[i]) for i in dict.fromkeys(chosen.tolist())]
        self._grids.append(states[-1].predicted[None])

    def _changed(self, role: str, rules: Rules) -> Graph:
        graph = self._trials.graph(role, {name: rule for (r, name), rule in rules.items() if r == role})
        return of_any_batch(role, self._bundle.graph(role), graph)

    def _mean_kl(self, changed: dict[str, Graph]) -> float:
        def load(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
            return _Borrowed(changed[role] if role in changed else self._parent.graph(role))

        divergences = []
        with AmusedPipeline(self._bundle, EngineOptions(), load=load) as pipeline:
            sources = {
                prompt: logit_source(pipeline, prompt, self._settings)
                for prompt in dict.fromkeys(prompt for prompt, _ in self._states)
            }
            for prompt, state in self._states:
                divergences.append(
                    kl_divergence(state.logits[""], sources[prompt](state.step, state.tokens, state.rows))
                )
        return float(np.concatenate(divergences).mean())

    def _image_damage(self, changed: dict[str, Graph]) -> Damage:
        if not self._pictures:
            self._pictures = [self._parent.decode(grid) for grid in self._grids]
            self._codes = [self._parent.encode(picture) for picture in self._pictures]
        ratio, codes = None, None
        if "image_decoder" in changed:
            decoded = [changed["image_decoder"]({"tokens": grid})["image"] for grid in self._grids]
            value = psnr(np.concatenate(self._pictures), np.concatenate(decoded))
            ratio = None if np.isinf(value) else value
        if "image_encoder" in changed:
            encoded = [changed["image_encoder"]({"image": picture})["tokens"] for picture in self._pictures]
            codes = float(np.mean(np.concatenate(encoded) == np.concatenate(self._codes)))
        return Damage(psnr=ratio, equal_codes=codes)


class _Borrowed:
    """A graph that belongs to another pipeline, which will close it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, np.ndarray]:
        return self._graph(inputs, cancellation)

    def close(self) -> None:
        """Leave it open."""


@dataclass(frozen=True)
class Row:
    """One weight of the table.

    Attributes
    ----------
    values
        How many it has.
    rule
        That was measured.
    bytes
        That the weight takes then.
    """

    role: str
    name: str
    operator: str
    values: int
    rule: Rule
    bytes: int
    damage: Damage


def measure_each(
    meter: DamageMeter, trials: Trials, *, on_weight: Callable[[str, int, int], None] | None = None
) -> list[Row]:
    """Measure every weight whose rule changes it, alone."""
    changing = [
        (role, name, rule) for role, plan in trials.plans.items() for name, rule in plan.rules.items() if rule.bits < 32
    ]
    rows = []
    for index, (role, name, rule) in enumerate(changing):
        if on_weight is not None:
            on_weight(f"{role}/{name}", index, len(changing))
        weight = trials.plans[role].weights[name]
        damage = meter.measure({(role, name): rule})
        size = trials.stored_bytes(role, name, rule)
        rows.append(Row(role, name, weight.operator, int(np.prod(weight.shape)), rule, size, damage))
    return rows
