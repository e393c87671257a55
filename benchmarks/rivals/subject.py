"""A rival in parts, in an engine."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amused_edge.benchmarks.rivals.loop import draw_latents
from amused_edge.benchmarks.rivals.make import graph
from amused_edge.benchmarks.rivals.models import LATENT_CHANNELS, LATENT_SCALE, RIVALS, UNETS, Config, Rival
from amused_edge.benchmarks.rivals.networks import decoder_input, denoiser_inputs, make_decoder, make_denoiser
from amused_edge.benchmarks.rivals.parted import DENOISER, PICTURE, Part
from amused_edge.runtime.checks import present
from amused_edge.runtime.pictures import ImageArray

Run = Callable[[dict[str, torch.Tensor]], torch.Tensor]
"""A loaded network."""


class RivalSubject(ABC):
    """One of `UNETS` with its decoders.

    Parameters
    ----------
    network
        Its name.
    side
        Of a picture, in pixels.
    engine
        "threads", or None for the engine's own choice.
    config
        In place of the network's own.
    decoders
        Name -> configuration in place of the decoder's own.
    uses
        In place of `RIVALS`.
    """

    def __init__(
        self,
        network: str,
        side: int,
        engine: dict[str, Any] | None = None,
        config: Config | None = None,
        decoders: dict[str, Config] | None = None,
        uses: tuple[Rival, ...] = RIVALS,
    ) -> None:
        self.network = network
        self.config = UNETS[network] if config is None else config
        self.decoder_configs = decoders or {}
        self.threads: int | None = (engine or {}).get("threads")
        self._uses = {use.label: use for use in uses}
        self._side = side // LATENT_SCALE
        self._denoiser: Run | None = None

    @abstractmethod
    def open_denoiser(self) -> Run:
        """Load the network."""

    @abstractmethod
    def open_decoder(self, name: str) -> Run:
        """Load a decoder."""

    def load(self) -> None:
        """Load the network alone."""
        self._denoiser = self.open_denoiser()

    def close(self) -> None:
        """Release all."""
        self._denoiser = None

    def part(self, part: Part) -> Callable[[], Any]:
        """Return a part, see `Parted`; it holds the decoder that was loaded for it."""
        if part.name == DENOISER:
            inputs = denoiser_inputs(self.config, part.rows, self._side, self._side)
            return lambda: self._denoise(inputs).numpy()
        decoder = self.open_decoder(part.decoder)
        if part.name == PICTURE:
            use = self._uses[part.use]
            return lambda: self.draw(use, decoder, 0, part.rows)
        latents = decoder_input(part.rows, self._side, self._side)
        return lambda: decoder({"latents": latents}).numpy()

    def draw(self, use: Rival, decoder: Run, seed: int, count: int) -> ImageArray:
        """Draw pictures at once; they are decoded one by one."""
        generator = torch.Generator().manual_seed(seed)
        shape = (count, LATENT_CHANNELS, self._side, self._side)
        inputs = denoiser_inputs(self.config, count * use.branches, self._side, self._side)

        def denoise(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            return self._denoise({**inputs, "sample": latents, "timestep": timestep.reshape(1).float()})

        latents = draw_latents(use, denoise, torch.randn(shape, generator=generator), generator)
        images = np.concatenate([decoder({"latents": each[None]}).permute(0, 2, 3, 1).numpy() for each in latents])
        if not np.isfinite(images).all():
            raise ArithmeticError("a picture is not finite")
        pixels: ImageArray = np.round(255 * images).astype(np.uint8)
        return pixels

    def _denoise(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return present(self._denoiser, "the network")(inputs)


class DiffusersRival(RivalSubject):
    """In diffusers, in float32."""

    def open_denoiser(self) -> Run:
        """Make the network."""
        return self._run(make_denoiser(self.network, self.config))

    def open_decoder(self, name: str) -> Run:
        """Make a decoder."""
        return self._run(make_decoder(name, self.decoder_configs.get(name)))

    def _run(self, module: torch.nn.Module) -> Run:
        if self.threads is not None:
            torch.set_num_threads(self.threads)

        @torch.inference_mode()
        def run(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            result: torch.Tensor = module(**inputs)
            return result

        return run


class OpenVinoRival(RivalSubject):
    """In OpenVINO on the CPU, with 8-bit weights, tuned for latency; sides are fixed when a graph is loaded.

    Parameters
    ----------
    folder
        What `make_rivals` made.
    """

    def __init__(self, folder: str, **others: Any) -> None:
        super().__init__(**others)
        self._folder = Path(folder)

    def open_denoiser(self) -> Run:
        """Load the network."""
        return self._compile(self.network)

    def open_decoder(self, name: str) -> Run:
        """Load a decoder."""
        return self._compile(name)

    def _compile(self, name: str) -> Run:
        import openvino as ov

        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        core = ov.Core()
        model = core.read_model(str(graph(self._folder, name)))
        images = [each for each in model.inputs if each.partial_shape.rank.get_length() == 4]
        channels = {each.any_name: each.partial_shape[1].get_length() for each in images}
        model.reshape({each: [-1, count, self._side, self._side] for each, count in channels.items()})
        request = core.compile_model(model, "CPU", settings).create_infer_request()

        def run(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            results = request.infer({each: value.numpy() for each, value in inputs.items()})
            return torch.from_numpy(next(iter(results.values())))

        return run
