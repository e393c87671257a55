"""What a user gets who exports diffusers' networks as they are: one graph a step, one for the pixels, his own loop."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.subjects.embeddings import Embeddings
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings

if TYPE_CHECKING:
    from amused_edge.benchmarks.execution.peaks import Peaks
    from amused_edge.benchmarks.subjects.teacher_forcing import LogitSource

Run = Callable[[Arrays], NDArray[Any]]
"""A loaded graph with one output."""

DENOISER, DECODER, FACTS_NAME = "denoiser", "image_decoder", "peer.json"


class OneGraphSubject(ABC):
    """The plain graphs of a checkpoint in some engine, in our loop.

    Parameters
    ----------
    folder
        Where `make` wrote the graphs, and `peer.json` with geometry and micro-conditions.
    embeddings
        File of prompt embeddings.
    engine
        "threads", or None for the engine's own choice.
    """

    def __init__(self, folder: str, embeddings: str, engine: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        facts = json.loads((self.folder / FACTS_NAME).read_text(encoding="utf-8"))
        self.geometry = Geometry(**facts["geometry"])
        self._micro = np.asarray(facts["micro_conditions"], np.float32)[None]
        self._embeddings = Embeddings.read(Path(embeddings))
        self.threads: int | None = (engine or {}).get("threads")
        self._graphs: dict[str, Run] = {}

    @abstractmethod
    def open_graph(self, name: str) -> Run:
        """Load one of the folder's graphs."""

    def load(self) -> None:
        """Load both graphs."""
        self._graphs = {name: self.open_graph(name) for name in (DENOISER, DECODER)}

    def close(self) -> None:
        """Release them."""
        self._graphs.clear()

    def logits(self, prompt: str, settings: SamplerSettings) -> "LogitSource":
        """Return guided logits, see `Subject`."""
        context = self._context(prompt, settings.guided)

        def source(step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
            codes = self.geometry.codebook_size
            grids = np.stack([tokens] * len(context["pooled_text_emb"]))
            planes = self._graphs[DENOISER]({"input_ids": grids, **context})  # (branches, codes, h, w)
            logits = np.moveaxis(planes.reshape(len(planes), codes, -1), 1, 2)[:, rows]
            return guided(list(logits), settings.guidance_at(step))

        return source

    def decode(self, tokens: IntArray) -> ImageArray:
        """Decode, see `Subject`; clipped, scaled and rounded as diffusers does."""
        images = np.concatenate([self._graphs[DECODER]({"tokens": grid[None]}) for grid in tokens])
        pixels: ImageArray = np.round(255 * np.clip(np.moveaxis(images, 1, 3), 0, 1)).astype(np.uint8)
        return pixels

    def draw(self, prompt: str, settings: SamplerSettings, seed: int, count: int) -> ImageArray:
        """Draw pictures one after the other."""
        source = self.logits(prompt, settings)
        return np.concatenate([self._draw_one(source, settings, seed, picture) for picture in range(count)])

    def stages(self, prompt: str, settings: SamplerSettings, batch: int) -> dict[str, Callable[[], object]]:
        """Return both graphs on `batch` pictures' inputs."""
        feeds = self._feeds(prompt, settings, batch)
        return {name: partial(graph, feeds[name]) for name, graph in self._graphs.items()}

    def peaks(self) -> "Peaks | None":
        """Return nothing: only some engines have products of their own to be held against."""
        return None

    def audit(self, prompt: str, settings: SamplerSettings) -> dict[str, Audit]:
        """Return what both graphs run in."""
        return {name: self.audit_graph(name, feeds) for name, feeds in self._feeds(prompt, settings, 1).items()}

    @abstractmethod
    def audit_graph(self, name: str, feeds: Arrays) -> Audit:
        """Return what a graph runs in."""

    def _feeds(self, prompt: str, settings: SamplerSettings, batch: int) -> dict[str, Arrays]:
        g = self.geometry
        tokens = np.zeros((batch, g.grid_height, g.grid_width), np.int64)
        context = {n: np.repeat(v, batch, axis=0) for n, v in self._context(prompt, settings.guided).items()}
        masked = np.repeat(tokens + g.mask_token_id, len(context["micro_conds"]) // batch, axis=0)
        return {DENOISER: {"input_ids": masked, **context}, DECODER: {"tokens": tokens}}

    def _context(self, prompt: str, guided: bool) -> dict[str, NDArray[Any]]:
        encoded = [self._embeddings[text] for text in (["", prompt] if guided else [prompt])]
        return {
            "encoder_hidden_states": np.concatenate([each["hidden_states"] for each in encoded]),
            "pooled_text_emb": np.concatenate([each["pooled"] for each in encoded]),
            "micro_conds": np.repeat(self._micro, len(encoded), axis=0),
        }

    def _draw_one(self, source: "LogitSource", settings: SamplerSettings, seed: int, picture: int) -> ImageArray:
        return self.decode(draw_tokens(source, self.geometry, settings, seed=seed, picture=picture))
