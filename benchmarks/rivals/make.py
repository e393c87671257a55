"""Makes the rivals' OpenVINO graphs, with 8-bit weights: as many rows and as large a picture as one likes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amused_edge.benchmarks.peers.make import save_in_8_bits
from amused_edge.benchmarks.rivals.models import DECODERS, LATENT_SCALE, UNETS, Config
from amused_edge.benchmarks.rivals.networks import SEED, decoder_input, denoiser_inputs, make_decoder, make_denoiser
from amused_edge.runtime.errors import OptionsError

FACTS_NAME = "rivals.json"
_SIDE = 256 // LATENT_SCALE
"""Of the latents that graphs are traced with."""


def make_rivals(
    folder: Path, unets: Mapping[str, Config] = UNETS, decoders: Mapping[str, Config | None] | None = None
) -> None:
    """Make what is missing in `folder`: NAME.xml and NAME.bin of each network and decoder.

    Raises
    ------
    OptionsError
        The folder holds graphs of other configurations.
    """
    decoders = dict.fromkeys(DECODERS) if decoders is None else decoders
    folder.mkdir(parents=True, exist_ok=True)
    facts = json.loads(json.dumps({"seed": SEED, "unets": unets, "decoders": decoders}))
    told = folder / FACTS_NAME
    if not told.exists():
        told.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    elif json.loads(told.read_text(encoding="utf-8")) != facts:
        raise OptionsError(f"{folder} holds graphs of other configurations; remove it, or give another folder")
    for name, config in unets.items():
        if not graph(folder, name).exists():
            _save(make_denoiser(name, config), denoiser_inputs(config, 2, _SIDE, _SIDE), graph(folder, name))
    for name, chosen in decoders.items():
        if not graph(folder, name).exists():
            _save(make_decoder(name, chosen), {"latents": decoder_input(1, _SIDE, _SIDE)}, graph(folder, name))


def graph(folder: Path, name: str) -> Path:
    """Return the graph of a network or decoder; its weights stand beside it."""
    return folder / f"{name}.xml"


@torch.no_grad()
def _save(module: nn.Module, inputs: dict[str, torch.Tensor], path: Path) -> None:
    import openvino as ov

    shapes = {name: _free(name, value) for name, value in inputs.items()}
    model = ov.convert_model(module, example_input=inputs, input=list(shapes.items()))
    partial = path.with_name(f".{path.name}")
    save_in_8_bits(model, partial)
    partial.with_suffix(".bin").rename(path.with_suffix(".bin"))
    partial.rename(path)  # last: it says "complete"


def _free(name: str, value: torch.Tensor) -> Any:
    """Return the shape of an input with rows, height and width left open."""
    import openvino as ov

    if name == "timestep":
        return ov.PartialShape([1])
    sides = [-1, -1] if value.ndim == 4 else list(value.shape[2:])
    return ov.PartialShape([-1, value.shape[1], *sides])
