"""What the authors of aMUSEd measured (arXiv 2401.01808; all their figures stand in huggingface/open-muse's benchmark).

On an A100 in float16, text encoder included, memory-efficient attention on and, for aMUSEd, residuals fused into norms;
aMUSEd with random weights.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A model's seconds.

    Attributes
    ----------
    label
        As in `Use` where it is measured here, too.
    side
        Of pictures, in pixels, as their list says.
    one, eight
        Seconds for one picture, and for eight at once.
    """

    label: str
    side: int
    one: float
    eight: float


A100 = (
    Published("aMUSEd-256, 12 steps", 256, 0.474, 0.602),
    Published("aMUSEd-512, 12 steps", 512, 0.539, 1.004),
    Published("Stable Diffusion 1.5, 20 steps", 512, 0.848, 2.956),
    Published("LCM, 4 steps", 1024, 0.324, 1.768),
    Published("SD-Turbo, 1 step", 512, 0.130, 0.474),
    Published("SDXL, 20 steps", 1024, 2.700, 18.468),
)
