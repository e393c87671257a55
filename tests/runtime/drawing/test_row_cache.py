"""Rows that are kept, with a denoiser that is a few lines of float64, beside their definition: a known row has the key
and the hidden state of the call that last computed it, and no other row can tell.
"""

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime import AmusedPipeline, Cancellation, EngineOptions, GenerationOptions, TextToImage, Variation
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry, TensorSpec
from amused_edge.runtime.drawing.row_cache import RowCache
from amused_edge.runtime.engines.rows import RowByRow
from amused_edge.runtime.sampling.mask_predict import mask_predict
from tests.support.paths import TINY_BUNDLE

HEIGHT, WIDTH, CODES, MASKED = 4, 6, 32, 39
Float = NDArray[np.float64]
Calls = list[tuple[Mapping[str, Any], Any]]


def patches_of(tokens: Any, side: int) -> Any:
    """(4, 6) -> (N, side * side), as slices have them."""
    places = itertools.product(range(0, HEIGHT, side), range(0, WIDTH, side))
    return np.stack([np.asarray(tokens)[y : y + side, x : x + side].ravel() for y, x in places])


def embedded(tokens: Any, side: int) -> Float:
    """(4, 6) -> (N, 5)."""
    found = patches_of(tokens, side)
    rows = np.arange(len(found))[:, None]
    return np.asarray(np.sin(found @ np.arange(1, side * side + 1)[:, None] * 0.7 + rows + np.arange(5)))


def keys_of(rows: Float) -> Float:
    return np.asarray(np.cos(3 * rows))


def hidden_of(rows: Float, keys: Float, value: float) -> Float:
    return np.asarray(np.sin(rows + 2 * keys.sum(0) + value))


def head(hidden: Float, side: int) -> Float:
    """(N, 5) -> (24, 32): each token has its patch's state, that of all others, and its own place."""
    number = np.arange(HEIGHT // side * (WIDTH // side)).reshape(HEIGHT // side, WIDTH // side)
    of_token = np.kron(number, np.ones((side, side), np.int64)).ravel()
    places = np.arange(HEIGHT * WIDTH)[:, None]
    mixed = hidden[of_token] + hidden.sum(0)
    return np.asarray(3 * np.sin(mixed @ np.sin(np.arange(5 * CODES).reshape(5, CODES)) + places))


class Denoiser:
    """Takes and gives what a graph with a row cache does, one branch at a time."""

    def __init__(self, side: int) -> None:
        self._side = side
        self.calls: Calls = []

    def __call__(self, inputs: Mapping[str, Any], cancellation: Any = None) -> dict[str, Any]:
        self.calls.append((inputs, cancellation))
        tokens, rows, places = (inputs[name] for name in ("tokens", "rows", "places"))
        assert [len(value) for value in inputs.values()] == [1] * len(inputs)
        assert rows.dtype == places.dtype == np.int64
        computed = embedded(tokens[0], self._side)[rows[0]]
        keys = np.concatenate([keys_of(computed), *inputs.get("kept_keys", ())])
        found = hidden_of(computed, keys, float(inputs["c"][0, 0]))
        hidden = np.concatenate([found, *inputs.get("kept_hidden", ())])
        assert len(keys) == len(hidden) == places.size
        return {"keys": keys[None], "hidden": hidden[None], "logits": head(hidden[places[0]], self._side)[None]}

    def close(self) -> None: ...


@dataclass
class Definition:
    """The same in the order of the grid, of one branch."""

    side: int
    every: int
    last: int | None = None
    open: Any = None
    kept: tuple[Float, Float] = field(default_factory=lambda: (np.zeros(0), np.zeros(0)))

    def __call__(self, step: int, tokens: Any, value: float) -> Float:
        anew = self.last is None or step // self.every > self.last // self.every
        rows = embedded(tokens, self.side)
        known = np.zeros(len(rows), np.bool_) if anew else ~self.open
        keys, hidden = keys_of(rows), np.zeros_like(rows)
        if not anew:
            keys[known] = self.kept[0][known]
            hidden[known] = self.kept[1][known]
        hidden[~known] = hidden_of(rows[~known], keys, value)
        self.last, self.kept = step, (keys, hidden)
        self.open = (patches_of(tokens, self.side) == MASKED).any(1)
        return head(hidden, self.side)


def entry_of(side: int) -> GraphEntry:
    count = HEIGHT * WIDTH // side**2
    inputs = [TensorSpec("tokens", "int64", ("batch", HEIGHT, WIDTH)), TensorSpec("c", "float32", ("batch", 1))]
    inputs += [TensorSpec("rows", "int64", (1, "computed")), TensorSpec("places", "int64", (1, count))]
    inputs += [TensorSpec(f"kept_{name}", "float32", ("batch", "known", 5)) for name in ("keys", "hidden")]
    outputs = [TensorSpec("logits", "float32", ("batch", HEIGHT * WIDTH, CODES))]
    outputs += [TensorSpec(name, "float32", ("batch", count, 5)) for name in ("keys", "hidden")]
    return GraphEntry((), tuple(inputs), tuple(outputs), "float32", "float32")


def grids(side: int) -> list[Any]:
    """Of calls one after the other: fewer and fewer tokens are masked, in no order, at last one; one call knows no more
    than that before.
    """
    chance = np.random.default_rng(side)
    drawn, rank = chance.integers(0, CODES, (HEIGHT, WIDTH)), chance.permutation(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    return [np.where(rank < masked, MASKED, drawn) for masked in (24, 15, 9, 5, 5, 2, 1)]


class _RowByRow(RowByRow):
    """Others of its kind compute rows side by side, to the bit as in a batch of so many."""

    def __init__(self, graph: Denoiser) -> None:
        super().__init__("denoiser")
        self._graph = graph

    def some(self, rows: Sequence[Any], of: int, cancellation: Any = None) -> list[dict[str, Any]]:
        assert of == len(rows)
        return [self._graph(row, cancellation) for row in rows]

    def close(self) -> None: ...


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("every", [2, 4, 9])
def test_rows_are_kept_as_their_definition_says(side: int, every: int, one_by_one: bool) -> None:
    """Of both branches, of which the other is not asked at steps 2 and 4."""
    graph = Denoiser(side)
    denoiser: Any = _RowByRow(graph) if one_by_one else graph
    cache = RowCache(entry_of(side), every, MASKED)
    branches = [Definition(side, every), Definition(side, every)]
    assert cache.share == 1
    shares = []
    for step, tokens in enumerate(grids(side)):
        asked = 1 if step in (2, 4) else 2
        values = np.array([[0.3], [1.1]])[-asked:]
        graph.calls.clear()
        found = cache(denoiser, step, tokens, {"c": values})
        assert len(found) == len(graph.calls) == asked
        for logits, branch, value in zip(found, branches[-asked:], values, strict=True):
            np.testing.assert_allclose(logits, branch(step, tokens, value[0]), rtol=0, atol=1e-12)
        computed = [inputs["rows"].size for inputs, _ in graph.calls]
        assert cache.share == sum(computed) / asked / (24 // side**2)
        shares.append(cache.share)
    assert [share for step, share in enumerate(shares) if step % every == 0] == [1] * -(-7 // every)
    assert min(shares) < 1


def test_rows_that_were_masked_are_computed_and_no_others() -> None:
    graph, cache = Denoiser(1), RowCache(entry_of(1), 9, MASKED)
    for step, tokens in enumerate(grids(1)):
        cache(graph, step, tokens, {"c": np.ones((1, 1))})
    assert [inputs["rows"].size for inputs, _ in graph.calls] == [24, 24, 15, 9, 5, 5, 2]
    for (inputs, _), before in zip(graph.calls[1:], grids(1), strict=False):
        assert set(inputs["rows"][0]) == set(np.flatnonzero(before.ravel() == MASKED))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_every_call_can_be_cancelled(one_by_one: bool) -> None:
    graph, cancellation = Denoiser(2), Cancellation()
    denoiser: Any = _RowByRow(graph) if one_by_one else graph
    cache = RowCache(entry_of(2), 4, MASKED)
    cache(denoiser, 0, grids(2)[1], {"c": np.ones((2, 1))}, cancellation)
    cache(denoiser, 1, grids(2)[2], {"c": np.ones((2, 1))})
    assert [given for _, given in graph.calls] == [cancellation, cancellation, None, None]


def test_steps_whose_calls_left_something() -> None:
    cache = RowCache(entry_of(1), 4, MASKED)
    assert [list(cache.steps_before(step)) for step in (0, 1, 3, 4, 6)] == [[], [0], [0, 1, 2], [], [4, 5]]


@pytest.fixture
def graph() -> Denoiser:
    return Denoiser(1)


@dataclass
class _Function:
    """A graph that is a few lines; the denoiser has a row cache for whoever speaks of rows."""

    role: str
    rows: Denoiser

    def __call__(self, inputs: Mapping[str, Any], cancellation: Any = None) -> dict[str, Any]:
        if "rows" in inputs:
            return self.rows(inputs, cancellation)
        if self.role == "text_encoder":
            ids = inputs["input_ids"]
            return {"hidden_states": np.ones((len(ids), 77, 24), np.float32), "pooled": ids[:, 1:17].astype(np.float32)}
        if self.role == "conditioner":
            return {"c": inputs["pooled"].sum(1, keepdims=True) % 7}
        if self.role == "image_encoder":
            return {"tokens": inputs["image"][:, ::2, ::2, 0].astype(np.int64) // 8}
        assert self.role == "denoiser"
        found = [
            Definition(1, 1)(0, *each) for each in zip(inputs["tokens"], inputs["c"][:, 0].astype(float), strict=True)
        ]
        return {"logits": np.stack(found)}

    def close(self) -> None: ...


@pytest.fixture
def pipeline(tmp_path: Path, graph: Denoiser) -> Iterator[AmusedPipeline]:
    """The tiny bundle, whose manifest says that its denoiser keeps rows, each a token."""
    path = Path(shutil.copytree(TINY_BUNDLE, tmp_path / "bundle"))
    content, entry = json.loads((path / "manifest.json").read_text()), entry_of(1)
    specs = {"inputs": entry.inputs, "outputs": entry.outputs}
    content["graphs"]["denoiser"] |= {name: [vars(spec) for spec in each] for name, each in specs.items()}
    (path / "manifest.json").write_text(json.dumps({**content, "schema_version": 2}))

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Any:
        return _Function(role, graph)

    with AmusedPipeline(Bundle.open(path), EngineOptions(), load=load) as opened:
        yield opened


OPTIONS = GenerationOptions(
    seed=3, steps=7, guidance_scale=3.0, guidance_interval=(0.2, 0.75), temperature=(4.0, 1.0), row_cache=3
)
"""Steps with both branches between steps with one; all rows are computed at steps 1 (the first with anything known), 3
and 6."""
PICTURE = np.random.default_rng(7).integers(0, 256, (8, 12, 3), np.uint8)


def expected(pipeline: AmusedPipeline, task: Any, start: Any, first: int) -> Any:
    """All steps of a task's picture, from its start on."""
    settings = pipeline.settings(OPTIONS, task)
    ids = pipeline.tokenizer(["", task.prompts[0]])
    values = ids[:, 1:17].astype(np.float32).sum(1) % 7
    branches = [Definition(1, 3), Definition(1, 3)]

    def denoise(_: int, step: int, tokens: Any, rows: Any) -> Any:
        scale = np.float32(settings.guidance_at(step))
        asked = 2 if scale > 1 else 1
        whole = len(rows) == tokens.size
        sources = [Definition(1, 3), Definition(1, 3)] if whole else branches
        found = [
            branch(step, tokens, float(value))[rows]
            for branch, value in zip(sources[-asked:], values[-asked:], strict=True)
        ]
        return found[0] if asked == 1 else found[0] + scale * (found[1] - found[0])

    picture = [task.first_picture]
    return list(
        mask_predict(
            denoise,
            start[None],
            picture,
            seed=OPTIONS.seed,
            settings=settings,
            mask_token_id=MASKED,
            starting_mask_ratio=[1.0],
            first_step=first,
        )
    )


@pytest.mark.parametrize("kind", ["text", "variation"])
def test_a_picture_and_going_on_with_it(kind: str, pipeline: AmusedPipeline, graph: Denoiser) -> None:
    """From each state: what the calls before it left is computed again, of the steps since all rows were computed, but
    for one where nothing was known.
    """
    task = TextToImage("a fox", first_picture=2) if kind == "text" else Variation("a fox", PICTURE, 0.8)
    (begun,) = pipeline.begin(task, OPTIONS)
    steps = expected(pipeline, task, begun.tokens, begun.next_step)
    found = list(pipeline.stream(task, OPTIONS))
    assert len(found) == len(steps)
    for one, other in zip(found, steps, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.probability, other.probability, rtol=1e-5)
    exact = list(pipeline.stream(task, replace(OPTIONS, row_cache=0)))
    assert np.abs(exact[-1].probability - found[-1].probability).max() > 0.01
    state, settings = begun, pipeline.settings(OPTIONS, task)
    for step in steps:
        cancellation = Cancellation()
        graph.calls.clear()
        resumed = next(iter(pipeline.resume(state, task, cancellation=cancellation)))
        np.testing.assert_array_equal(resumed.tokens, step.tokens)
        np.testing.assert_allclose(resumed.probability, step.probability, rtol=1e-5)
        assert {id(given) for _, given in graph.calls} <= {id(cancellation)}
        again = range(step.index - step.index % 3, step.index + 1)
        known = [before for before in again if (state.tokens_before(before, MASKED) != MASKED).any()]
        assert len(graph.calls) == sum(2 if settings.guidance_at(before) > 1 else 1 for before in known)
        state = state.after(resumed)
    graph.calls.clear()
    assert list(pipeline.resume(state, task)) == graph.calls == []
