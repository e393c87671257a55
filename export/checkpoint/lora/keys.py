"""What a LoRA file calls things: every key becomes a layer of the model and what it is to that layer.

PEFT, diffusers (also before it used PEFT) and Kohya's trainer each have names of their own. Kohya's have no dots, so
they can only be understood beside the names of the model.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from amused_edge.export.errors import LoraError
from amused_edge.runtime.errors import quoted

Part = Literal["down", "up", "alpha"]
Weight = tuple[str, str]
"""A weight of a checkpoint: its component ("transformer", "text_encoder") and its name there."""

_PAIR = re.compile(
    r"(?P<layer>.+?)(\.lora_(?P<peft>[AB])(\.[\w-]+)?|\.lora_(?P<kohya>down|up)"
    r"|(\.lora|\.lora_linear_layer|(?P<old>_lora))\.(?P<diffusers>down|up))\.weight"
)
_ALPHA = re.compile(r"(?P<layer>.+)\.alpha")
_PARTS: dict[str, Part] = {"A": "down", "B": "up", "down": "down", "up": "up"}

_COMPONENTS = {"transformer.": "transformer", "text_encoder.": "text_encoder"}
_KOHYA = {
    "lora_unet_": "transformer",
    "lora_transformer_": "transformer",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
}
_WRAPPED = "base_model.model."
"""What PEFT puts before every name."""

_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"}
"""Layers of a text encoder in files from before diffusers used PEFT."""

_REFUSED = {
    r"lora_magnitude_vector|dora_scale": "DoRA, which scales whole weights by their norms and is no sum of weights; "
    "merge it where it was trained, save the model, and give that as --transformer",
    r"\.hada_|\.lokr_|\.oft_|\.boft_|\.ia3_|lora_mid": "no LoRA but another kind of adapter; merge it where it was "
    "trained, save the model, and give that as --transformer",
    r"lora_embedding_": "a LoRA of an embedding, which is not read; train it without",
    r"lora_[AB]\.([\w-]+\.)?bias|\.diff(_b)?$": "a change of a bias or a whole weight, which is not read; train it "
    "without (lora_bias=False, bias='none')",
}


@dataclass(frozen=True)
class Key:
    """What a key means.

    Attributes
    ----------
    weight
        The weight that is changed.
    part
        "down": the first factor, (rank, inputs); "up": the second, (outputs, rank); "alpha": the number that, divided
        by the rank, scales the product.
    """

    weight: Weight
    part: Part


def layer_name(weight: Weight) -> str:
    """Return what the layer of a weight is called, with its component."""
    return f"{weight[0]}.{weight[1].removesuffix('.weight')}"


class Names:
    """The weights that a LoRA may change, looked up by whatever a file calls them.

    Parameters
    ----------
    weights
        Those that there are.
    folded
        Those that there are not any more, and why.
    """

    def __init__(self, weights: Collection[Weight], folded: Mapping[Weight, str] | None = None) -> None:
        self._folded = folded or {}
        self._layers: dict[str, dict[str, Weight]] = {"transformer": {}, "text_encoder": {}}
        for component, name in (*weights, *self._folded):
            self._layers[component][name.removesuffix(".weight")] = component, name

    def read(self, key: str) -> Key:
        """Return what a key means.

        Raises
        ------
        LoraError
            It is of a kind that is not read, or of a layer that the model does not have.
        """
        for pattern, reason in _REFUSED.items():
            if re.search(pattern, key):
                raise LoraError(f"{quoted(key)} is {reason}")
        found = _PAIR.fullmatch(key) or _ALPHA.fullmatch(key)
        if found is None:
            raise LoraError(f"{quoted(key)} is no name that LoRA files have; is this file a LoRA?")
        groups = found.groupdict()
        letter = groups.get("peft") or groups.get("kohya") or groups.get("diffusers")
        weight = self._weight(key, groups["layer"], old=groups.get("old") is not None)
        if weight in self._folded:
            raise LoraError(f"{quoted(key)} cannot be added: {self._folded[weight]}")
        return Key(weight, _PARTS[letter] if letter else "alpha")

    def _weight(self, key: str, layer: str, old: bool) -> Weight:
        for prefix, component in _KOHYA.items():
            if layer.startswith(prefix):
                flat = {name.replace(".", "_"): weight for name, weight in self._layers[component].items()}
                return self._get(key, layer.removeprefix(prefix), flat)
        layer, components = layer.removeprefix(_WRAPPED), list(self._layers)
        for prefix, component in _COMPONENTS.items():
            if layer.startswith(prefix):
                layer, components = layer.removeprefix(prefix), [component]
        layer = layer.removeprefix(_WRAPPED).replace(".processor.", ".")
        known = {name: weight for component in components for name, weight in self._layers[component].items()}
        return self._get(key, _modern(layer) if old else layer, known)

    def _get(self, key: str, layer: str, known: Mapping[str, Weight]) -> Weight:
        if layer in known:
            return known[layer]
        near = difflib.get_close_matches(layer, known, n=3, cutoff=0.0)
        raise LoraError(
            f"{quoted(key)} is of a layer that this model does not have; the nearest are {', '.join(near)}: is the "
            "LoRA for another model?"
        )


def _modern(layer: str) -> str:
    """Return a layer's name of today: `attn1.to_out_lora` was of the layer `attn1.to_out.0`."""
    parent, _, last = layer.rpartition(".")
    last = "to_out.0" if last == "to_out" else last
    return f"{parent}.{_OLD_TEXT.get(last, last) if parent.endswith('self_attn') else last}"
