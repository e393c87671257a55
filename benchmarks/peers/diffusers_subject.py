"""The checkpoint in diffusers' own pipeline."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.subjects.embeddings import Embeddings
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings

if TYPE_CHECKING:
    from amused_edge.benchmarks.subjects.teacher_forcing import LogitSource


class DiffusersSubject:
    """`AmusedPipeline` of diffusers, from prompt embeddings on.

    Parameters
    ----------
    checkpoint
        Folder in diffusers layout.
    geometry, micro_conditions
        Of the checkpoint's bundle.
    dtype
        Of weights and arithmetic, for example "float32".
    compiled
        Compile the transformer with `torch.compile` at its first call.
    """

    def __init__(
        self,
        checkpoint: str,
        embeddings: str,
        geometry: Mapping[str, int],
        micro_conditions: list[float],
        dtype: str = "float32",
        compiled: bool = False,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        self.geometry = Geometry(**geometry)
        self._checkpoint = checkpoint
        self._embeddings = Embeddings.read(Path(embeddings))
        self._micro = micro_conditions
        self._dtype = getattr(torch, dtype)
        self._compiled = compiled
        threads = (engine or {}).get("threads")
        if threads is not None:
            torch.set_num_threads(threads)
        self._class = diffusers.AmusedPipeline  # imported here, so that it is no part of loading
        self._pipeline: Any = None

    def load(self) -> None:
        """Load all but the text encoder."""
        self._pipeline = self._class.from_pretrained(
            self._checkpoint, text_encoder=None, tokenizer=None, torch_dtype=self._dtype, local_files_only=True
        )
        self._pipeline.set_progress_bar_config(disable=True)
        if self._compiled:
            self._pipeline.transformer = torch.compile(self._pipeline.transformer)

    def close(self) -> None:
        """Release it."""
        self._pipeline = None

    def logits(self, prompt: str, settings: SamplerSettings) -> "LogitSource":
        """Return guided logits, see `Subject`."""
        context = self._context(prompt, settings.guided)

        def source(step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
            planes = self._transformer(np.stack([tokens] * len(context["micro_conds"])), context).float()
            logits = planes.flatten(2).transpose(1, 2).numpy()[:, rows]
            return guided(list(logits), settings.guidance_at(step))

        return source

    @torch.no_grad()
    def decode(self, tokens: IntArray) -> ImageArray:
        """Decode as the pipeline does."""
        pictures = [self._decode(torch.from_numpy(grid[None])) for grid in tokens]
        images = np.concatenate([picture.float().permute(0, 2, 3, 1).numpy() for picture in pictures])
        pixels: ImageArray = np.round(255 * images).astype(np.uint8)
        return pixels

    def draw(self, prompt: str, settings: SamplerSettings, seed: int, count: int) -> ImageArray:
        """Draw with diffusers' own loop and random numbers; guidance of 1 or less runs one branch there, too."""
        text, empty = ({n: self._tensor(v) for n, v in self._embeddings[p].items()} for p in (prompt, ""))
        result = self._pipeline(
            prompt_embeds=text["pooled"],
            encoder_hidden_states=text["hidden_states"],
            negative_prompt_embeds=empty["pooled"],
            negative_encoder_hidden_states=empty["hidden_states"],
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            temperature=settings.temperature,
            num_images_per_prompt=count,
            generator=torch.Generator().manual_seed(seed),
            height=self.geometry.image_height,
            width=self.geometry.image_width,
            output_type="np",
        )
        images: ImageArray = np.round(255 * result.images).astype(np.uint8)
        return images

    def stages(self, prompt: str, settings: SamplerSettings, batch: int) -> dict[str, Callable[[], object]]:
        """Return transformer and decoder on `batch` pictures' inputs."""
        g = self.geometry
        tokens = np.zeros((batch, g.grid_height, g.grid_width), np.int64)
        context = {n: v.repeat_interleave(batch, 0) for n, v in self._context(prompt, settings.guided).items()}
        masked = np.repeat(tokens + g.mask_token_id, len(context["micro_conds"]) // batch, axis=0)
        return {
            "denoiser": lambda: self._transformer(masked, context),
            "image_decoder": lambda: self.decode(tokens),
        }

    def peaks(self) -> None:
        """Return nothing: torch's products are not measured."""

    def audit(self, prompt: str, settings: SamplerSettings) -> dict[str, Audit]:
        """Return nothing: torch computes in the weights' dtype, which is the row's name."""
        return {}

    @torch.no_grad()
    def _transformer(self, tokens: IntArray, context: Mapping[str, torch.Tensor]) -> torch.Tensor:
        planes: torch.Tensor = self._pipeline.transformer(torch.from_numpy(tokens), **context)
        return planes

    def _decode(self, tokens: torch.Tensor) -> torch.Tensor:
        vqvae = self._pipeline.vqvae
        shape = (len(tokens), *tokens.shape[1:], vqvae.config.latent_channels)
        picture: torch.Tensor = vqvae.decode(tokens, force_not_quantize=True, shape=shape).sample.clip(0, 1)
        return picture

    def _context(self, prompt: str, guided: bool) -> dict[str, torch.Tensor]:
        encoded = [self._embeddings[text] for text in (["", prompt] if guided else [prompt])]
        micro = np.repeat(np.asarray(self._micro, np.float32)[None], len(encoded), axis=0)
        return {
            "encoder_hidden_states": self._tensor(np.concatenate([each["hidden_states"] for each in encoded])),
            "pooled_text_emb": self._tensor(np.concatenate([each["pooled"] for each in encoded])),
            "micro_conds": self._tensor(micro),
        }

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(values).to(self._dtype)
