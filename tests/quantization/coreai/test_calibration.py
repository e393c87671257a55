"""What calibration sees of a package, against hooks of torch on the same module."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.graphs import GRAPHS
from amused_edge.quantization.coreai.calibration import watch
from amused_edge.quantization.coreai.plan import make_plan
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from tests.support.coreai import needs_coreai

pytestmark = needs_coreai

LAYER = "text_model.encoder.layers.0.mlp.fc2"


def test_ranges_and_moments_are_those_of_what_a_weight_meets(floats: Bundle, halves: Bundle, tmp_path: Path) -> None:
    recipe = Recipe(
        "mine",
        (
            Rule(f"text_encoder/{LAYER}.weight", bits=8, block=16, rounding="feedback"),
            Rule("text_encoder/text_projection.weight", bits=8, activations="static"),
        ),
        Calibration(ranges="minmax"),
    )
    (spec,) = (spec for spec in GRAPHS if spec.role == "text_encoder")
    module = spec.build(open_checkpoint(halves.path.parent / "checkpoint")).eval()
    inputs = spec.example(open_checkpoint(halves.path.parent / "checkpoint"), floats.manifest.geometry, 2)
    met: list[np.ndarray] = []
    last: list[np.ndarray] = []
    module.get_submodule(LAYER).register_forward_pre_hook(lambda _, given: met.append(given[0].double().numpy()))
    module.get_submodule("text_projection").register_forward_pre_hook(lambda _, given: last.append(given[0].numpy()))
    with torch.no_grad():
        module(**inputs)
    graph = watch(floats, "text_encoder", make_plan(floats, recipe)["text_encoder"], tmp_path)
    try:
        for row in range(2):
            found = graph({"input_ids": inputs["input_ids"][row : row + 1].numpy()})
            assert set(found) == {"hidden_states", "pooled"}
        seen = graph.observations(Calibration(ranges="minmax"))
    finally:
        graph.end()
    rows = np.concatenate(met).reshape(-1, met[0].shape[-1])
    moments = rows.T @ rows
    assert seen.products.keys() == {f"{LAYER}.weight"}
    assert np.abs(seen.products[f"{LAYER}.weight"] - moments).max() < 1e-4 * np.abs(moments).max()
    ((span,),) = seen.ranges.values()
    met_last = np.concatenate(last)
    assert span.scale == pytest.approx((max(met_last.max(), 0) - min(met_last.min(), 0)) / 255, rel=1e-4)
