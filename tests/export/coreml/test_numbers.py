"""How near Core ML bundles of the demo come to its checkpoint, and to ONNX. All numbers are simulated."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from amused_edge.benchmarks.subjects.teacher_forcing import LogitMeter, LogitSource, follow, logit_source
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.coreml.write import CoreMLOptions, export_coreml
from amused_edge.export.graphs import GRAPHS
from amused_edge.quantization.coreml.target import CoreMLQuantizationTarget
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.coreml.evaluator import Machine
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.near_draws import differing_draws
from tests.support.paths import DEMO_CHECKPOINT
from tests.support.reference import Reference

ROLES = [spec.role for spec in GRAPHS]
HALVES = ("text_encoder", "conditioner", "denoiser")
HALF = EngineOptions(simulate="half")
SETTINGS = GenerationOptions(seed=3, steps=12)
FEW_STEPS = GenerationOptions(seed=3, steps=6)
Array = NDArray[Any]


def test_it_is_simulated_and_says_so(demo_coreml: Path, tiny_coreml: Path) -> None:
    for bundle in (Bundle.open(demo_coreml), Bundle.open(tiny_coreml)):
        simulated = bundle.manifest.simulated
        assert bundle.manifest.parity is None
        assert bundle.manifest.quantization is None
        assert simulated is not None
        assert simulated.evaluator.startswith("NumPy evaluator")
        assert simulated.reference == "checkpoint"
        assert set(simulated.roles) == set(ROLES)
        assert simulated.logits.mean_kl <= 2e-3
        assert simulated.roles["image_decoder"]["image"] <= 1


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def torch_source(reference: Reference, prompt: str, scale: float) -> LogitSource:
    """Guided logits of diffusers' own network in float32."""
    encoded = reference.encode(["", prompt])

    @torch.no_grad()
    def logits(_step: int, tokens: Array, rows: Array) -> Array:
        maps = reference.uvit(torch.from_numpy(np.stack([tokens] * 2)), *encoded)
        without, given = maps.flatten(2).transpose(1, 2).numpy()[:, rows]
        return without + np.float32(scale) * (given - without)

    return logits


@pytest.fixture(scope="module")
def demo_w8(demo_coreml: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The demo's graphs by recipe w8, without the measurements of a bundle: what is asked here is torch."""
    parent, writer = Bundle.open(demo_coreml), BundleWriter(tmp_path_factory.mktemp("w8"))
    target = CoreMLQuantizationTarget(parent, load_recipe("w8", "coreml"))
    for entry in parent.manifest.files.values():
        writer.copy(parent.file(entry), entry.path)
    graphs = {role: target.write(role, writer) for role in parent.manifest.graphs}
    return Bundle(writer.path, replace(parent.manifest, graphs=graphs))


@pytest.fixture(scope="module")
def halves(demo_coreml: Path, demo_w8: Bundle) -> Iterator[dict[str, AmusedPipeline]]:
    bundles = {"fp16": Bundle.open(demo_coreml), "w8": demo_w8}
    opened = {name: AmusedPipeline(bundle, HALF) for name, bundle in bundles.items()}
    yield opened
    for pipeline in opened.values():
        pipeline.close()


@pytest.mark.slow
def test_the_demo_in_halves_and_in_w8_is_near_to_torch(
    halves: dict[str, AmusedPipeline], reference: Reference, demo_prompts: tuple[str, ...]
) -> None:
    """Torch draws; the bundles are asked about every fourth state, and paint what it drew."""
    settings = halves["fp16"].settings(SETTINGS)
    meters = {name: LogitMeter() for name in halves}
    squares: dict[str, list[float]] = {name: [] for name in halves}
    for index, prompt in enumerate(demo_prompts[:2]):
        torchs = torch_source(reference, prompt, settings.guidance_scale)
        ours = {name: logit_source(pipeline, prompt, settings) for name, pipeline in halves.items()}
        for state in follow({"torch": torchs}, "torch", halves["fp16"].geometry, settings, picture=index):
            for name, meter in meters.items():
                if state.step % 4 == 0:
                    meter.add(state.logits["torch"], ours[name](state.step, state.tokens, state.rows), state)
        expected = np.rint(255 * reference.decode(state.predicted[None]))
        for name, pipeline in halves.items():
            squares[name].append(float(np.mean((pipeline.decode(state.predicted[None])[0] - expected) ** 2)))
    found = {name: meter.result().mean_kl for name, meter in meters.items()}
    noise = {name: 10 * np.log10(255**2 / max(np.mean(errors), 1e-9)) for name, errors in squares.items()}
    assert found["fp16"] <= 2e-3, found
    assert found["w8"] <= 6e-3, found
    assert noise["fp16"] >= 45, noise
    assert noise["w8"] >= 40, noise


def test_the_demo_in_w8_is_half_as_large(demo_coreml: Path, demo_w8: Bundle) -> None:
    whole = Bundle.open(demo_coreml)
    for role in ROLES:
        share = demo_w8.graph(role).bytes / whole.graph(role).bytes
        assert share <= (0.6 if role in HALVES else 0.35), role


class Evaluated:
    """A role converted in float32, without a bundle; batch 1 and tokens as in the ONNX form."""

    def __init__(self, role: str, folder: Path, pipeline: AmusedPipeline) -> None:
        checkpoint, spec = open_checkpoint(DEMO_CHECKPOINT), next(spec for spec in GRAPHS if spec.role == role)
        inputs = spec.example(checkpoint, pipeline.geometry, 2)
        options = CoreMLOptions(precision="float32")
        path = folder / f"{role}.mlpackage"
        self._machine = Machine(
            export_coreml(spec.build(checkpoint).eval(), inputs, spec.outputs, path, options), round_halves=True
        )

    def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, Array]:
        rows = []
        for row in range(len(next(iter(inputs.values())))):
            one = {name: np.asarray(value[row : row + 1]) for name, value in inputs.items()}
            rows.append(
                self._machine.run({n: v.astype(np.int32) if v.dtype.kind == "i" else v for n, v in one.items()})
            )
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_a_float32_denoiser_draws_the_tokens_of_onnx(
    demo_bundle: Path, demo_prompts: tuple[str, ...], tmp_path: Path
) -> None:
    """The same seed; a token that is drawn otherwise was won by less than the logits differ."""
    bundle = Bundle.open(demo_bundle)
    with AmusedPipeline(bundle, EngineOptions()) as onnx:

        def load(opened: Bundle, role: str, engine: EngineOptions) -> Graph:
            return Evaluated(role, tmp_path, onnx) if role == "denoiser" else load_graph(opened, role, engine)

        settings, prompt = onnx.settings(FEW_STEPS), demo_prompts[0]
        differing = 0
        with AmusedPipeline(bundle, EngineOptions(), load=load) as coreml:
            sources = {name: logit_source(p, prompt, settings) for name, p in (("onnx", onnx), ("coreml", coreml))}
            for state in follow(sources, "coreml", onnx.geometry, settings, seed=3):
                differing += differing_draws(state, "coreml", "onnx")
        drawn = onnx.generate(prompt, FEW_STEPS).tokens[0]
    assert differing <= 1
    assert differing or np.array_equal(drawn, state.predicted)
