"""Where a LoRA comes from: a file, a folder or a model of the hub, and how strongly it is added."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amused_edge.export.checkpoint.hub import HubModel, download_lora, hub_model
from amused_edge.export.errors import LoraError
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.system.library_paths import name_text

DIFFUSERS_NAME, PEFT_NAME, PEFT_CONFIG = (
    "pytorch_lora_weights.safetensors",
    "adapter_model.safetensors",
    "adapter_config.json",
)
"""As diffusers and PEFT call their files."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_LARGEST_WEIGHT = 1e3


@dataclass(frozen=True)
class LoraSource:
    """A LoRA as it is asked for.

    Attributes
    ----------
    place
        A file, a folder with one, or a hub id ("owner/name", "owner/name@revision").
    weight
        How strongly it is added, besides its own scale: 1 as it was trained, less for a hint of it, negative for its
        opposite. From -1000 to 1000, not 0.
    """

    place: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and 0 < abs(self.weight) <= _LARGEST_WEIGHT):
            raise OptionsError(
                f"the weight of the LoRA {quoted(self.place)} is {self.weight:g}; it must be a number from -1000 to "
                "1000, and not 0, which changes nothing"
            )

    @staticmethod
    def parse(text: str) -> "LoraSource":
        """Read "PLACE" or "PLACE:WEIGHT"; what is there under its whole name is a place."""
        place, colon, last = text.rpartition(":")
        if not os.path.exists(text) and colon:
            try:
                return LoraSource(place, float(last))
            except ValueError as error:
                if isinstance(error, OptionsError):
                    raise
        return LoraSource(text)


@dataclass(frozen=True)
class FoundLora:
    """A LoRA's file on this machine.

    Attributes
    ----------
    name
        For people: the file's, or the hub id.
    config
        PEFT's `adapter_config.json` beside it, if there is one.
    """

    file: Path
    name: str
    config: dict[str, Any] | None = None


def find_lora(source: LoraSource) -> FoundLora:
    """Return the file of a LoRA; a hub id is downloaded into the hub's cache.

    Raises
    ------
    LoraError
        There is none, more than one, or only a pickled one.
    CheckpointError
        The hub does not give it.
    """
    place = Path(source.place)
    if os.path.isdir(source.place):
        return _in_folder(place, name_text(place.resolve()))
    if os.path.exists(source.place):
        return _found(place, place.name)
    model = hub_model(source.place)
    if model is None:
        raise LoraError(
            f"there is no LoRA {quoted(source.place)}: no such file or folder, and it is no hub id (OWNER/NAME)"
        )
    return _of_hub(model)


def _of_hub(model: HubModel) -> FoundLora:
    folder = download_lora(model, (DIFFUSERS_NAME, PEFT_NAME, PEFT_CONFIG))
    return _in_folder(folder, model.name)


def _in_folder(folder: Path, name: str) -> FoundLora:
    known = [folder / name for name in (DIFFUSERS_NAME, PEFT_NAME) if (folder / name).is_file()]
    files = known or sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return _found(files[0], name)
    if files:
        names = ", ".join(file.name for file in files[:5])
        raise LoraError(f"{folder} holds several LoRA files ({names}); name the one that you mean")
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        return _found(folder / pickles[0], name)
    raise LoraError(f"{folder} holds no LoRA: neither {DIFFUSERS_NAME} nor {PEFT_NAME}, nor another .safetensors file")


def _found(file: Path, name: str) -> FoundLora:
    if file.suffix.lower() in _PICKLES:
        raise LoraError(
            f"{file} is pickled, which can run code when loaded; save it as safetensors, where it was trained"
        )
    config = file.parent / PEFT_CONFIG
    if file.name != PEFT_NAME or not config.is_file():
        return FoundLora(file, name)
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LoraError(f"cannot read {config} ({error}); download it again") from error
    if not isinstance(content, dict):
        raise LoraError(f"{config} is not a JSON object; download it again")
    return FoundLora(file, name, content)
