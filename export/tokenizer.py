"""Writes the checkpoint's tokenizer as one `tokenizer.json` that carries its padding and truncation with it."""

from pathlib import Path

from transformers import CLIPTokenizerFast

from amused_edge.export.errors import CheckpointError


def tokenizer_json(folder: Path, length: int) -> str:
    """Return the text of `tokenizer.json`: the checkpoint's fast CLIP tokenizer.

    Parameters
    ----------
    folder
        The checkpoint's `tokenizer/`.
    length
        Ids per prompt: pad and truncate to this.

    Raises
    ------
    CheckpointError
        The folder holds no tokenizer.
    """
    if not any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        raise CheckpointError(f"{folder} has neither vocab.json nor tokenizer.json; download the checkpoint again")
    try:
        tokenizer = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
        backend = tokenizer.backend_tokenizer
        backend.enable_truncation(length)
        backend.enable_padding(length=length, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
        return str(backend.to_str(pretty=True))
    except Exception as error:  # the library raises many kinds for a damaged folder
        raise CheckpointError(f"{folder} holds no CLIP tokenizer: {error}") from error
