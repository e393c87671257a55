"""Prompts to measure and calibrate with where the user has none: everyday subjects, styles and places."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from amused_edge.runtime.errors import OptionsError

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


def read_prompts(path: Path) -> tuple[str, ...]:
    """Return the prompts of a UTF-8 text file, one per line; empty lines do not count.

    Raises
    ------
    OptionsError
        The file cannot be read or holds no prompt.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise OptionsError(f"cannot read the prompts {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionsError(f"the prompts {path} are not UTF-8 text: {error.reason}") from error
    prompts = tuple(line.strip() for line in lines if line.strip())
    if not prompts:
        raise OptionsError(f"{path} holds no prompt; write one per line")
    return prompts
