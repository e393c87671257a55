"""What is out of bounds raises `ParityError`; nothing passes by accident."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from amused_edge.export import parity
from amused_edge.export.checkpoint.checkpoint import Checkpoint
from amused_edge.export.errors import ParityError
from amused_edge.export.graphs import GRAPHS, Inputs
from amused_edge.runtime.bundle.golden import GOLDEN_PROMPT
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.tiny_export import TinyExport

BY_ROLE = {spec.role: spec for spec in GRAPHS}
Outputs = dict[str, NDArray[Any]]


class Altered:
    """A graph that answers with the module's own outputs after `change`."""

    def __init__(self, names: tuple[str, ...], module: nn.Module, change: Callable[[Outputs], None]) -> None:
        self._names, self._module, self._change = names, module, change

    def __call__(self, inputs: Any, cancellation: Any = None) -> Outputs:
        with torch.no_grad():
            result = self._module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        parts = result if isinstance(result, tuple) else (result,)
        outputs = {name: part.numpy().copy() for name, part in zip(self._names, parts, strict=True)}
        self._change(outputs)
        return outputs

    def close(self) -> None:
        pass


def prepared(tiny: TinyExport, role: str) -> tuple[nn.Module, Inputs]:
    spec = BY_ROLE[role]
    return spec.build(tiny.checkpoint).eval(), spec.example(tiny.checkpoint, tiny.bundle.manifest.geometry, 2)


def check(tiny: TinyExport, role: str, change: Callable[[Outputs], None]) -> dict[str, float]:
    module, inputs = prepared(tiny, role)
    return parity.check_role(BY_ROLE[role], module, Altered(BY_ROLE[role].outputs, module, change), inputs)


@pytest.mark.parametrize("role", BY_ROLE)
def test_an_unchanged_graph_passes(role: str, tiny_export: TinyExport) -> None:
    assert check(tiny_export, role, lambda outputs: None) == dict.fromkeys(BY_ROLE[role].outputs, 0.0)


@pytest.mark.parametrize("role", ["text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder"])
def test_a_weight_changed_after_the_export_is_found(role: str, tiny_export: TinyExport) -> None:
    module, inputs = prepared(tiny_export, role)
    graph = load_graph(tiny_export.bundle, role, EngineOptions())
    parity.check_role(BY_ROLE[role], module, graph, inputs)
    largest = max(module.parameters(), key=lambda p: p.numel())
    with torch.no_grad():
        largest.mul_(-1)
    with pytest.raises(ParityError, match=role):
        parity.check_role(BY_ROLE[role], module, graph, inputs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_found(value: float, tiny_export: TinyExport) -> None:
    def spoil(outputs: Outputs) -> None:
        outputs["logits"][1, 3, 5] = value

    with pytest.raises(ParityError, match="denoiser: logits differs from the checkpoint by inf"):
        check(tiny_export, "denoiser", spoil)


def test_the_last_of_several_outputs_is_looked_at(tiny_export: TinyExport) -> None:
    def spoil(outputs: Outputs) -> None:
        outputs["layer_values"] += 2 * parity.FLOAT_TOLERANCE * np.abs(outputs["layer_values"]).max()

    with pytest.raises(ParityError, match="conditioner: layer_values"):
        check(tiny_export, "conditioner", spoil)


@pytest.mark.parametrize(
    ("role", "name"),
    [("denoiser", "logits"), ("image_decoder", "image"), ("image_encoder", "tokens")],
)
def test_another_shape_is_found(role: str, name: str, tiny_export: TinyExport) -> None:
    def spoil(outputs: Outputs) -> None:
        outputs[name] = outputs[name][:, :-1]

    with pytest.raises(ParityError, match=f"{role}: {name}"):
        check(tiny_export, role, spoil)


def test_pixels_may_differ_by_one_and_no_more(tiny_export: TinyExport) -> None:
    def shift(outputs: Outputs, by: int) -> None:
        image = outputs["image"].astype(int)
        image[0, 0, 0, 0] += by if image[0, 0, 0, 0] < 128 else -by
        outputs["image"] = image.astype(np.uint8)

    assert check(tiny_export, "image_decoder", lambda outputs: shift(outputs, 1)) == {"image": 1.0}
    with pytest.raises(ParityError, match="image_decoder: image differs from the checkpoint by 2"):
        check(tiny_export, "image_decoder", lambda outputs: shift(outputs, 2))


def test_a_pixel_error_does_not_wrap(tiny_export: TinyExport) -> None:
    def spoil(outputs: Outputs) -> None:
        outputs["image"] = outputs["image"] + np.uint8(200)

    with pytest.raises(ParityError, match="image"):
        check(tiny_export, "image_decoder", spoil)


@pytest.mark.parametrize("code", ["next", "out of range"])
def test_a_wrong_code_is_no_near_tie(code: str, tiny_export: TinyExport) -> None:
    def spoil(outputs: Outputs) -> None:
        tokens = outputs["tokens"]
        tokens[0, 0, 0] = (tokens[0, 0, 0] + 1) % 32 if code == "next" else 32

    with pytest.raises(ParityError, match="image_encoder"):
        check(tiny_export, "image_encoder", spoil)


def test_codes_that_tie_may_differ(tiny_export: TinyExport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code twice in the book: either place is right, as long as few positions differ."""
    module, inputs = prepared(tiny_export, "image_encoder")
    with torch.no_grad():
        first = int(module(**inputs).flatten()[0])
        other = (first + 1) % 32
        module.quantize.embedding.weight[:, other] = module.quantize.embedding.weight[:, first]
        low = min(first, other)

    def swap(outputs: Outputs) -> None:
        outputs["tokens"][outputs["tokens"] == low] = max(first, other)

    graph = Altered(("tokens",), module, swap)
    with pytest.raises(ParityError, match="image_encoder: tokens differs"):
        parity.check_role(BY_ROLE["image_encoder"], module, graph, inputs)
    monkeypatch.setattr(parity, "CODE_TOLERANCE", 1.0)
    assert parity.check_role(BY_ROLE["image_encoder"], module, graph, inputs)["tokens"] > 0


@pytest.mark.parametrize("part", ["denoiser", "image_decoder"])
def test_a_generation_that_differs_is_found(
    part: str, tiny_export: TinyExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = getattr(Checkpoint, part)

    def altered(self: Checkpoint) -> nn.Module:
        module = build(self)
        with torch.no_grad():
            max(module.parameters(), key=lambda p: p.numel()).mul_(-1)
        return module

    with AmusedPipeline(tiny_export.bundle, EngineOptions()) as pipeline:
        logits, pictures, drawn = parity.check_generation(tiny_export.checkpoint, pipeline)
        assert logits.mean_kl <= parity.KL_TOLERANCE
        assert pictures.psnr is None or pictures.psnr >= 48.13  # a difference of 1 of 255 everywhere
        assert drawn.to_json() == tiny_export.bundle.golden.read_text(encoding="utf-8")
        monkeypatch.setattr(Checkpoint, part, altered)
        with pytest.raises(ParityError, match="a whole generation differs"):
            parity.check_generation(tiny_export.checkpoint, pipeline)


@pytest.mark.parametrize(
    "options",
    [
        GenerationOptions(),
        GenerationOptions(guidance_scale=0.0),
        GenerationOptions(guidance_scale=9.0, guidance_ramp="linear", guidance_interval=(0.3, 1.0)),
    ],
    ids=["guided", "unguided", "guided from the second step on, and more and more"],
)
def test_what_was_measured_is_recorded(options: GenerationOptions, tiny_export: TinyExport) -> None:
    """One generation, all of its masked rows: 24 at first, then just below two thirds of them, and one third."""
    with AmusedPipeline(tiny_export.bundle, EngineOptions()) as pipeline:
        expected = pipeline.generate(GOLDEN_PROMPT, options).tokens[0]
        settings = pipeline.settings(options)
        pipeline.settings = lambda options: settings  # type: ignore[method-assign]
        logits, pictures, golden = parity.check_generation(tiny_export.checkpoint, pipeline)
    assert np.array_equal(golden.tokens, expected.reshape(-1))
    assert (logits.generations, logits.rows) == (1, 24 + 15 + 7)
    assert 0 <= logits.mean_kl <= logits.max_kl <= 1e-6
    assert 0 < logits.max_logit_error <= 1e-4  # two programs agree, but not to the bit
    assert logits.total_variation <= 1e-4
    assert min(logits.top1, logits.top5, logits.equal_draws, logits.confidence_correlation) >= 0.97
    assert pictures.ssim is None  # 8 x 12 pixels
    assert pictures.equal_codes >= 1 - 1 / 24
