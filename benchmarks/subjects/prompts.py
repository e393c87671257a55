"""Prompts to measure and calibrate with where the user has none: everyday subjects, styles and places."""

import hashlib
from collections.abc import Sequence

_SUBJECTS = (
    "a red fox in the snow",
    "a bowl of ripe cherries on a wooden table",
    "an old lighthouse on a cliff at dusk",
    "a portrait of an elderly fisherman",
    "a city street in the rain at night",
    "a white horse running along a beach",
    "a cup of coffee beside an open book",
    "a snowy mountain above a green valley",
    "a small robot watering plants",
    "a hot air balloon over a desert",
    "a bicycle leaning against a brick wall",
    "a field of sunflowers under a blue sky",
    "an astronaut floating above the earth",
    "a cat asleep on a window sill",
    "a wooden bridge in an autumn forest",
    "a plate of sushi",
)
_STYLES = ("", ", a photo", ", an oil painting", ", a watercolour")

BUILT_IN = tuple(subject + style for style in _STYLES for subject in _SUBJECTS)
"""64 prompts; the first ones without a style."""


def prompts_hash(prompts: Sequence[str]) -> str:
    """Return the SHA-256 of a list of prompts, in hex."""
    return hashlib.sha256("\n".join(prompts).encode()).hexdigest()
