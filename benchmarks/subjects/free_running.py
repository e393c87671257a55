"""A picture from a source of logits that draws by itself."""

from typing import TYPE_CHECKING

import numpy as np

from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings

if TYPE_CHECKING:
    from amused_edge.benchmarks.subjects.teacher_forcing import LogitSource


def run_steps(
    source: "LogitSource", geometry: Geometry, settings: SamplerSettings, *, seed: int, picture: int
) -> list[Step]:
    """Run the loop from an all-masked grid, and return its steps."""
    start = np.full((1, geometry.grid_height, geometry.grid_width), geometry.mask_token_id, np.int64)
    steps = mask_predict(
        lambda _picture, step, tokens, rows: source(step, tokens, rows),
        start,
        [picture],
        seed=seed,
        settings=settings,
        mask_token_id=geometry.mask_token_id,
    )
    return list(steps)


def draw_tokens(
    source: "LogitSource", geometry: Geometry, settings: SamplerSettings, *, seed: int, picture: int
) -> IntArray:
    """Return finished tokens (1, h, w)."""
    return run_steps(source, geometry, settings, seed=seed, picture=picture)[-1].tokens
