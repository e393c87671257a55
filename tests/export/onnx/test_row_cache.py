"""The denoiser with a row cache beside diffusers', whose keys, values and hidden states of known rows are put back."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UVit2DModel

from amused_edge.benchmarks.compare.search_draw import name_of
from amused_edge.benchmarks.prediction import memory
from amused_edge.benchmarks.prediction.shape import Shape
from amused_edge.benchmarks.subjects.bundle_subject import BundleSubject
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.settings import search_grid
from amused_edge.export.errors import ExportError, ParityError
from amused_edge.export.graphs import Inputs
from amused_edge.export.modules.row_cache import RowCacheDenoiser
from amused_edge.export.onnx.target import OnnxTarget
from amused_edge.export.parity import check_kept_rows
from amused_edge.runtime import (
    AmusedPipeline,
    Bundle,
    BundleError,
    Clip,
    GenerationOptions,
    Inpainting,
    OptionsError,
    PictureState,
    StateError,
    TextToImage,
    Variation,
)
from amused_edge.runtime.arrays import BoolArray, IntArray
from amused_edge.runtime.bundle.graph_entry import KEPT
from amused_edge.runtime.bundle.manifest import SCHEMA_VERSION, Manifest
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.drawing.row_cache import RowCache
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.kept_rows import with_all_rows
from amused_edge.runtime.tasks.kinds import Task
from tests.support.odd_checkpoints import BY_ROLE
from tests.support.quantized import quantized_once
from tests.support.tiny_export import TinyExport

HEIGHT, WIDTH, MASK = 4, 6, 39

OPTIONS = GenerationOptions(
    seed=3, steps=7, guidance_scale=3.0, guidance_interval=(0.2, 0.75), temperature=(4.0, 1.0), row_cache=3
)
"""Steps with both branches between steps without; all rows are computed at steps 0, 3 and 6."""


@pytest.fixture(scope="module")
def bundle(tiny_export: TinyExport, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle, whose rows are patches of 2 x 2 tokens, with another denoiser."""
    path = Path(shutil.copytree(tiny_export.bundle.path, tmp_path_factory.mktemp("made") / "bundle"))
    spec, old = BY_ROLE["denoiser"], tiny_export.bundle.manifest
    module, inputs = spec.build(tiny_export.checkpoint).eval(), spec.example(tiny_export.checkpoint, old.geometry, 2)
    target, writer = OnnxTarget("cpu", row_cache=True), BundleWriter(path)
    entry = target.write(spec, module, inputs, writer)
    made = replace(old, engine=target.engine_info(), graphs={**old.graphs, "denoiser": entry})
    (path / "manifest.json").write_text(made.to_json(), encoding="utf-8")
    return Bundle.open(path)


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> Iterator[AmusedPipeline]:
    with AmusedPipeline.from_bundle(bundle, EngineOptions(threads=2), verify=False) as opened:
        yield opened


class Reference:
    """diffusers' U-ViT in float64. What its layers computed is kept; of rows that are not to be computed it is put back
    in the place of what they just computed, so that no other row can tell.
    """

    def __init__(self, checkpoint: Path, prompt: tuple[torch.Tensor, ...]) -> None:
        self._prompt = prompt
        self._model = UVit2DModel.from_pretrained(checkpoint / "transformer").double().eval()
        self._kept: dict[Any, torch.Tensor] = {}
        self._known = torch.zeros(0, dtype=torch.bool)
        layers = self._model.transformer_layers
        for part in [layers[-1], *(part for layer in layers for part in (layer.attn1.to_k, layer.attn1.to_v))]:
            part.register_forward_hook(self._put_back)

    def _put_back(self, part: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if part in self._kept:
            output = torch.where(self._known[None, :, None], self._kept[part], output)
        self._kept[part] = output
        return output

    @torch.no_grad()
    def __call__(self, tokens: IntArray, computed: BoolArray) -> Any:
        self._known = torch.from_numpy(~computed)
        logits = self._model(torch.from_numpy(tokens)[None], *self._prompt)
        return logits.flatten(2)[0].T.numpy()


def patches(tokens: IntArray) -> BoolArray:
    """Which patches hold a masked token."""
    places = [(y, x) for y in range(0, HEIGHT, 2) for x in range(0, WIDTH, 2)]
    return np.array([(tokens[y : y + 2, x : x + 2] == MASK).any() for y, x in places])


def grids() -> list[IntArray]:
    """Of calls one after the other: the first columns are masked, fewer and fewer, at last a token."""
    drawn = np.random.default_rng(5).integers(0, 32, (HEIGHT, WIDTH))
    rank = np.arange(HEIGHT * WIDTH).reshape(WIDTH, HEIGHT).T
    return [np.where(rank < masked, MASK, drawn) for masked in (20, 15, 8, 2, 2, 1)]


def test_rows_are_kept_as_their_definition_says(
    tiny_export: TinyExport, bundle: Bundle, pipeline: AmusedPipeline
) -> None:
    """Of both branches of guidance, over several calls; at the fifth all rows are computed. Whoever says nothing of
    rows has the whole U-ViT.
    """
    checkpoint, micro = tiny_export.checkpoint.folder, torch.tensor(pipeline.micro_conditions)[None]
    prompts = ["", "a red fox"]
    texts = [pipeline.embed(prompt) for prompt in prompts]
    values = [[torch.tensor(v)[None].double() for v in (text.hidden_states, text.pooled)] for text in texts]
    references = [Reference(checkpoint, (*value, micro)) for value in values]
    conditioning, denoiser = pipeline.condition(prompts), pipeline.graph("denoiser")
    kept, computed = RowCache(bundle.graph("denoiser"), 4, MASK), np.ones(6, np.bool_)
    counts = []
    for step, tokens in enumerate(grids()):
        if step == 4:
            computed = np.ones_like(computed)
        counts.append(computed.sum())
        found = kept(denoiser, step, tokens, conditioning)
        for logits, reference in zip(found, references, strict=True):
            expected = reference(tokens, computed)
            assert np.abs(logits - expected).max() < 2e-5 * np.abs(expected).max()
        whole = denoiser({"tokens": np.stack([tokens] * 2), **conditioning})["logits"]
        exact = Reference(checkpoint, (*values[1], micro))(tokens, np.ones_like(computed))
        assert np.abs(whole[1] - exact).max() < 2e-5 * np.abs(exact).max()
        assert (np.abs(found[1] - exact).max() > 1e-3 * np.abs(exact).max()) == (computed.sum() < 6)
        computed = patches(tokens)
    assert counts == [6, 6, 4, 2, 6, 1]


def test_what_is_kept_is_foreseen(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    """`fit` tells it from the manifest; here it is held against the arrays of a call that all rows were computed in."""
    shape = Shape.of(bundle.manifest)
    inputs = {"tokens": np.full((1, HEIGHT, WIDTH), MASK, np.int64), **pipeline.condition(["a red fox"])}
    entry, rows = bundle.graph("denoiser"), np.arange(6)[None]
    found = pipeline.graph("denoiser")(with_all_rows(entry, {"rows": rows, **inputs}))
    arrays = [value for name, value in found.items() if name != "logits"]
    assert len(arrays) == sum(spec.name.startswith(KEPT) for spec in entry.inputs)
    assert shape.kept_rows == sum(value.nbytes for value in arrays)
    assert memory.row_cache(shape) == 2 * shape.branches * shape.kept_rows


def test_exports_compare_kept_rows(tiny_export: TinyExport, pipeline: AmusedPipeline) -> None:
    """With the module, so that a graph that takes one input for another is not written."""
    spec = BY_ROLE["denoiser"]
    module: Any = spec.build(tiny_export.checkpoint).eval()
    inputs: Inputs = spec.example(tiny_export.checkpoint, pipeline.geometry, 1)
    check_kept_rows(RowCacheDenoiser(module), pipeline.graph("denoiser"), inputs)
    other = RowCacheDenoiser(module)
    other.kept_names = (other.kept_names[1], other.kept_names[0], *other.kept_names[2:])
    with pytest.raises(ParityError, match=r"differs by .* where rows are kept, allowed is"):
        check_kept_rows(other, pipeline.graph("denoiser"), inputs)


def tasks() -> dict[str, Task]:
    picture = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    half = np.zeros((8, 12), np.uint8)
    half[:, 6:] = 255
    return {
        "text": TextToImage("a red fox", pictures_per_prompt=2),
        "variation": Variation("a red fox", picture, 0.8),
        "inpainting": Inpainting("a red fox", picture, half, 0.9),
    }


@pytest.mark.parametrize("kind", ["text", "variation", "inpainting"])
def test_a_picture_is_the_same_however_its_steps_are_called(kind: str, pipeline: AmusedPipeline) -> None:
    """One after the other, side by side, and gone on with after each step, from JSON."""
    task = tasks()[kind]
    expected = pipeline.generate(task, OPTIONS)
    assert (expected.probability != pipeline.generate(task, GenerationOptions(**exact())).probability).any()
    (*_, last) = pipeline.stream(task, OPTIONS)
    np.testing.assert_array_equal(last.tokens, expected.tokens)
    np.testing.assert_array_equal(last.probability, expected.probability)
    state = pipeline.begin(task, OPTIONS)[-1]
    while state.next_step < 7:
        state = PictureState.from_json(state.to_json())
        state = state.after(next(iter(pipeline.resume(state, task))))
    np.testing.assert_array_equal(state.tokens, expected.tokens[-1])
    np.testing.assert_array_equal(state.probability, expected.probability[-1])


def exact() -> dict[str, Any]:
    return {name: value for name, value in vars(OPTIONS).items() if name != "row_cache"}


def test_benchmarks_draw_the_same_and_count_what_was_computed(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    """Several pictures of a prompt from one source; a step whose rows are half kept counts half."""
    own, (settings,) = search_grid(bundle.path, [7], [3.0], [4.0], None, None, [3])
    assert (own.row_cache, settings.row_cache) == (0, 3)
    settings = replace(settings, guidance_interval=(0.2, 0.75))
    subject = BundleSubject(str(bundle.path), {"threads": 2})
    source = subject.logits("a red fox", settings)
    shares: list[float] = []

    def counted(step: int, tokens: IntArray, rows: IntArray) -> Any:
        logits = source(step, tokens, rows)
        shares.append(source.share)  # type: ignore[attr-defined]
        return logits

    for picture in (0, 1):
        found = draw_tokens(counted, subject.geometry, settings, seed=3, picture=picture)
        task = TextToImage("a red fox", first_picture=picture)
        options = GenerationOptions(3, 7, 3.0, (4.0, 0.0), guidance_interval=(0.2, 0.75), row_cache=3)
        np.testing.assert_array_equal(found[0], pipeline.generate(task, options).tokens[0])
    subject.close()
    assert shares[0] == shares[3] == shares[6] == shares[7] == 1
    assert min(shares) < 1
    assert name_of(settings).endswith(", all rows every 3 steps")


def test_one_step_and_clips(pipeline: AmusedPipeline) -> None:
    one = {**exact(), "steps": 1}
    with_cache = pipeline.generate("a red fox", GenerationOptions(**one, row_cache=5))
    np.testing.assert_array_equal(with_cache.tokens, pipeline.generate("a red fox", GenerationOptions(**one)).tokens)
    *_, last = pipeline.video("a red fox", Clip(frames=2), OPTIONS)
    assert (last.picture.tokens != MASK).all()


@pytest.fixture(scope="module")
def quantized(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    return quantized_once(bundle, tmp_path_factory)


@pytest.mark.parametrize(("recipe", "kl"), [("w8", 1e-2), ("w8a8", 0.2)])
def test_recipes_keep_it(quantized: Callable[[str], Bundle], recipe: str, kl: float) -> None:
    made = quantized(recipe)
    assert made.manifest.fidelity.logits.mean_kl < kl
    with AmusedPipeline.from_bundle(made) as pipeline:
        drawn = pipeline.generate("a red fox", OPTIONS)
    assert (drawn.tokens < 32).all()


def test_who_does_not_know_it_refuses_it(bundle: Bundle) -> None:
    """By the schema version, which other runtimes read too."""
    text = (bundle.path / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION == 2
    assert Manifest.from_json(text).keeps_rows
    with pytest.raises(BundleError, match="schema version 3, this amused-edge reads up to 2"):
        Manifest.from_json(text.replace('"schema_version": 2', '"schema_version": 3'))


def test_states_that_do_not_fit_are_refused(pipeline: AmusedPipeline) -> None:
    (state, _) = pipeline.begin(tasks()["text"], OPTIONS)
    state = state.after(next(iter(pipeline.resume(state))))
    content = json.loads(state.to_json())
    assert content["parameters"]["version"] == 3
    wrong = PictureState(state.parameters, 1, state.tokens, state.probability, 1.0, np.zeros_like(state.tokens))
    with pytest.raises(StateError, match="not sure which of its tokens are masked"):
        pipeline.resume(wrong)


def test_it_needs_a_bundle_that_has_it(tiny_export: TinyExport) -> None:
    with (
        AmusedPipeline.from_bundle(tiny_export.bundle, verify=False) as pipeline,
        pytest.raises(OptionsError, match=r"row_cache is 4, and .* has none; export it with --row-cache"),
    ):
        pipeline.generate("a red fox", GenerationOptions(row_cache=4))
    with pytest.raises(ExportError, match="optimize is portable; choose cpu"):
        OnnxTarget(row_cache=True)
