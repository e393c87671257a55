"""What PEFT's config says of a LoRA: alpha of each layer, and what changes the meaning of its tensors."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from amused_edge.export.checkpoint.lora.keys import Weight, layer_name
from amused_edge.export.errors import LoraError
from amused_edge.runtime.errors import quoted

_METADATA = "lora_adapter_metadata"
"""Under this name diffusers keeps the config in a file's header, as JSON."""

_CHANGED_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of `init_lora_weights` for which PEFT changes the weights that the factors are added to."""

_LONGEST, _MOST_WAYS = 2000, 1000
"""Letters of a pattern, and ways to read it: of each group its alternatives, of each repeat ten."""


class Alphas:
    """Finds alpha / rank: beside the factors, in PEFT's config, or what stands for it where the file says nothing.

    Parameters
    ----------
    config
        The file beside the LoRA's, if there is one.
    metadata
        Texts of the LoRA's header, which may hold a config.
    unstated
        Alpha / rank of layers that nothing is said of; None is 1.

    Raises
    ------
    LoraError
        The config is damaged, or of another kind of adapter.
    """

    def __init__(self, config: Mapping[str, Any] | None, metadata: Mapping[str, str], unstated: float | None) -> None:
        self._configs = _by_component(config, metadata)
        self._patterns = {component: _patterns(own) for component, own in self._configs.items()}
        self._fallback = 1.0 if unstated is None else unstated
        self.unstated = False

    def scale(self, weight: Weight, rank: int, stated: float | None) -> float:
        """Return alpha / rank of a layer.

        Parameters
        ----------
        stated
            The alpha beside its factors, if there is one.

        Raises
        ------
        LoraError
            Alpha is no number.
        """
        config = self._configs.get(weight[0], {})
        alpha = stated if stated is not None else self._alpha(weight)
        if alpha is None:
            self.unstated = True
            return self._fallback
        if not math.isfinite(alpha):
            raise LoraError(f"the alpha of {layer_name(weight)} is {alpha}; it must be a number")
        return alpha / (math.sqrt(rank) if config.get("use_rslora") and stated is None else rank)

    def _alpha(self, weight: Weight) -> float | None:
        """Return a layer's alpha: by the first pattern that its name ends in, as in PEFT, or else the common one."""
        component, name = weight
        for pattern, value in self._patterns.get(component, {}).items():
            if pattern.match(name.removesuffix(".weight")):
                return _number("alpha_pattern", value)
        alpha = self._configs.get(component, {}).get("lora_alpha")
        return None if alpha is None else _number("lora_alpha", alpha)


def _patterns(config: Mapping[str, Any]) -> dict[re.Pattern[str], Any]:
    patterns = config.get("alpha_pattern") or {}
    return {_compiled(pattern): value for pattern, value in patterns.items()} if isinstance(patterns, dict) else {}


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern that fits whole names and what stands behind a dot in them.

    Python tries every way in which a pattern can be read, and there can be more than anyone waits for.
    """
    if len(pattern) > _LONGEST or _ways(pattern) > _MOST_WAYS:
        raise LoraError(
            f"its alpha_pattern {quoted(pattern)} is too long, or can be read in too many ways to try them; give names "
            "of layers, or patterns of few alternatives and repeats, none of them of a group"
        )
    try:
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, OverflowError, RecursionError) as error:
        raise LoraError(f"its alpha_pattern {quoted(pattern)} is no regular expression: {error}") from error


def _ways(pattern: str) -> float:
    """Return about how many ways there are to read a pattern; infinity where a group is repeated, or is of a kind that
    may change what the rest means.
    """
    if re.search(r"\)[*+{]|\(\?[^:]", pattern):
        return math.inf
    alternatives = math.prod(part.count("|") + 1 for part in re.split("[()]", pattern))
    return alternatives * 10.0 ** len(re.findall(r"[*+{]", pattern)) * 2.0 ** len(re.findall(r"(?<!\()\?", pattern))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoraError(f"its {name} is {quoted(value)}; it must be a number")
    try:
        return float(value)
    except OverflowError as error:
        raise LoraError(f"its {name} is {quoted(value)}; float32 holds no such number") from error


def _by_component(config: Mapping[str, Any] | None, metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the config of each component: from the header, where names may have the component before them, or from
    the file beside it.
    """
    if _METADATA in metadata:
        try:
            config = json.loads(metadata[_METADATA])
        except (ValueError, RecursionError) as error:
            raise LoraError(f"its header's {_METADATA} is not JSON ({error}); download it again") from error
        if not isinstance(config, dict):
            raise LoraError(f"its header's {_METADATA} is {quoted(config)}; it must be a JSON object")
    of_component = {}
    for component in ("transformer", "text_encoder"):
        prefix = f"{component}."
        own = {key.removeprefix(prefix): value for key, value in (config or {}).items() if key.startswith(prefix)}
        of_component[component] = own or {key: value for key, value in (config or {}).items() if "." not in key}
        _check_config(of_component[component])
    return of_component


def _check_config(config: Mapping[str, Any]) -> None:
    """Refuse what its tensors do not show and what changes their meaning."""
    kind = config.get("peft_type", "LORA")
    if str(kind).rpartition(".")[2].upper() != "LORA":
        raise LoraError(f"its config says that it is {quoted(kind)}, no LoRA; merge it where it was trained")
    if config.get("use_dora"):
        raise LoraError(
            "its config says that it is a DoRA, which is no sum of weights; merge it where it was trained, save the "
            "model, and give that as --transformer"
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.startswith(_CHANGED_BASES):
        raise LoraError(
            f"its config says init_lora_weights {quoted(start)}, for which training changed the model itself; convert "
            "it to a plain LoRA with PEFT's `save_pretrained(..., path_initial_model_for_weight_conversion=...)`"
        )
