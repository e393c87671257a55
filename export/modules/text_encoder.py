"""CLIP's text encoder, from transformers, giving the two things that aMUSEd reads."""

from dataclasses import asdict

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection
from transformers.activations import ACT2FN

from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import TextConfig
from amused_edge.export.modules.layers import Linear
from amused_edge.export.modules.tensors import Tensors
from amused_edge.runtime.errors import quoted


class TextEncoder(nn.Module):
    """input_ids (B, 77) -> hidden_states (B, 77, E) of the last layer but one, pooled (B, P) projected text embedding.

    Initializers keep the checkpoint's names because the two parts of the model are held under their own.
    """

    def __init__(self, config: TextConfig, tensors: Tensors) -> None:
        super().__init__()
        model = _clip(config)
        state = {name: tensors.take(name, *tensor.shape) for name, tensor in model.state_dict().items()}
        model.load_state_dict(state, assign=True)
        model.eval().requires_grad_(False)
        _store_input_major(model)
        self.text_model = model.text_model
        self.text_projection = model.text_projection

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.text_model(input_ids=input_ids, output_hidden_states=True)
        return states.hidden_states[-2], self.text_projection(states.pooler_output)


def _clip(config: TextConfig) -> CLIPTextModelWithProjection:
    if config.hidden_act not in ACT2FN:
        raise CheckpointError(
            f"text_encoder/config.json: hidden_act is {quoted(config.hidden_act)}, which transformers has not"
        )
    try:
        unused = {"bos_token_id": None, "pad_token_id": None}  # their defaults are ids of CLIP's own vocabulary
        settings = CLIPTextConfig(**asdict(config), **unused, attn_implementation="eager")
        return CLIPTextModelWithProjection(settings)
    except Exception as error:  # transformers raises many kinds for a config that makes no sense
        raise CheckpointError(f"text_encoder/config.json describes no CLIP text encoder: {error}") from error


def _store_input_major(model: nn.Module) -> None:
    """Replace torch's linear layers by ours, whose weights are stored as engines read them."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear):
            weights = {"weight": layer.weight.data, "bias": None if layer.bias is None else layer.bias.data}
            source = Tensors(lambda key, shape, w=weights: w[key])  # type: ignore[misc]
            ours = Linear(source, layer.in_features, layer.out_features, layer.bias is not None)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, ours)
