"""A U-ViT in place of a checkpoint's own, and which weights LoRAs may change."""

from collections.abc import Sequence
from pathlib import Path

from amused_edge.export.checkpoint.lora.keys import Weight
from amused_edge.export.checkpoint.lora.lora import adaptable
from amused_edge.export.checkpoint.lora.source import DIFFUSERS_NAME, PEFT_NAME
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import TextConfig, UVitConfig, read_json
from amused_edge.export.modules.shapes import text_shapes, uvit_shapes
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.fine_tuning import TransformerEntry
from amused_edge.runtime.errors import quoted
from amused_edge.runtime.system.library_paths import name_text


def adaptable_weights(uvit: UVitConfig, text: TextConfig) -> dict[Weight, tuple[int, ...]]:
    """Return the weights that a LoRA may change, and their shapes in the checkpoint."""
    shapes = {"transformer": uvit_shapes(uvit), "text_encoder": text_shapes(text)}
    return {
        (component, name): shape
        for component, of_component in shapes.items()
        for name, shape in of_component.items()
        if adaptable(name, shape)
    }


def transformer_folder(path: Path) -> Path:
    """Return the folder that holds a U-ViT's config: the one that is given, or its folder `transformer`.

    Raises
    ------
    CheckpointError
        Neither does, or it is of another model.
    """
    for folder in (path / "transformer", path):
        if (folder / "config.json").is_file():
            kind = read_json(folder / "config.json").get("_class_name", "UVit2DModel")
            if kind != "UVit2DModel":
                raise CheckpointError(f"{folder / 'config.json'} is of a {quoted(kind)}; aMUSEd's is UVit2DModel")
            return folder
    if any((path / name).is_file() for name in (DIFFUSERS_NAME, PEFT_NAME)):
        raise CheckpointError(f"{path} holds a LoRA, no whole transformer; give it as --lora")
    raise CheckpointError(
        f"{path} holds no transformer: neither config.json nor transformer/config.json; give the folder that training "
        "saved"
    )


def transformer_entry(folder: Path, files: Sequence[Path]) -> TransformerEntry:
    """Return what the manifest says of it."""
    named = folder.resolve()
    name = name_text(named.parent if named.name == "transformer" else named)
    return TransformerEntry(name, {file.name: verification.sha256(file) for file in files})
