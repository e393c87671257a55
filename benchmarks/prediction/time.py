"""Seconds of a picture on a CPU, from what it multiplies and how fast the CPU does that.

Products of weights and of attention are counted; what else the graphs do is in the share of the CPU's peak that they
were seen to reach (docs/benchmarks.md). The text encoder and the conditioner, once a prompt, are left out: a hundredth.
"""

from dataclasses import dataclass

from amused_edge.benchmarks.prediction.shape import Kind, Shape

DECODER_OPERATIONS = 477e9 / (87.5e6 * 256 * 256)
"""Per weight and pixel, of the published VQ-GAN."""

TEXT_LENGTH = 77

REACHED: dict[Kind, tuple[float, float]] = {
    "float32": (0.95, 1.02),
    "half": (0.92, 1.02),
    "codes": (0.85, 0.95),
    "int8": (0.85, 0.78),
    "blockwise": (0.39, 0.34),
}
"""Share of the peak that denoiser and decoder reach; of the 8-bit one where activations have 8 bits."""

SAMPLER = 0.7e-9
"""Seconds per byte of a step's logits in NumPy, on average over the steps: fewer rows are masked at each."""

IN_EIGHT_BITS: tuple[Kind, ...] = ("int8", "blockwise")


@dataclass(frozen=True)
class Work:
    """Operations of a picture: two for each product that is added up.

    Attributes
    ----------
    step
        Products of weights in a call of the denoiser.
    attention
        Products of attention in a call, which stay in float32.
    decoder
        Of the decoder.
    steps
        Calls.
    """

    step: float
    attention: float
    decoder: float
    steps: int

    @property
    def total(self) -> float:
        """Of the whole picture."""
        return self.steps * (self.step + self.attention) + self.decoder


def work(shape: Shape) -> Work:
    """Return what a picture takes with the bundle's own steps and guidance."""
    rows = shape.branches * shape.tokens
    attended = shape.tokens + TEXT_LENGTH
    return Work(
        step=2 * shape.weights("denoiser") * rows,
        attention=4 * shape.layers * shape.width * rows * attended,
        decoder=DECODER_OPERATIONS * shape.weights("image_decoder") * shape.pixels,
        steps=shape.steps,
    )


def eight_bits(shape: Shape) -> bool:
    """Return whether the denoiser's products are of 8 x 8 bits."""
    return shape.kinds["denoiser"] in IN_EIGHT_BITS


def seconds(shape: Shape, floats: float, codes: float) -> float:
    """Return the time of a picture.

    Parameters
    ----------
    floats, codes
        Operations a second that the CPU reaches in products of float32, and of 8 x 8 bits: the peaks that
        `amused-edge bench latency` tells of a machine.
    """
    parts = work(shape)
    of_step, of_decoder = (_speed(shape, role, floats, codes) for role in ("denoiser", "image_decoder"))
    attention = parts.attention / floats
    sampling = SAMPLER * shape.branches * shape.logits
    return parts.steps * (parts.step / of_step + attention + sampling) + parts.decoder / of_decoder


def _speed(shape: Shape, role: str, floats: float, codes: float) -> float:
    kind = shape.kinds[role]
    reached = REACHED[kind][role == "image_decoder"]
    return reached * (codes if kind in IN_EIGHT_BITS else floats)
