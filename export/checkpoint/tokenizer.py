"""Writes the checkpoint's tokenizer as one `tokenizer.json` that carries its padding and truncation with it.

Ids are those of the reference's tokenizer, or the checkpoint is refused: what `tokenizer.json` cannot say, or what
apps that read it do not do, is not left out in silence.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers.models import BPE
from transformers import CLIPTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import TextConfig, read_json
from amused_edge.runtime.errors import as_refusal, quoted

_SHORTEST = 3
"""Start, one token of text, end."""


@dataclass(frozen=True)
class CheckpointTokenizer:
    """A tokenizer that fits its text encoder.

    Attributes
    ----------
    json
        Text of `tokenizer.json`.
    length
        Ids per prompt: it pads and truncates to this.
    """

    json: str
    length: int


def read_tokenizer(folder: Path, text: TextConfig) -> CheckpointTokenizer:
    """Read the checkpoint's fast CLIP tokenizer.

    Parameters
    ----------
    folder
        The checkpoint's `tokenizer/`.
    text
        The text encoder's config. A prompt has the tokenizer's `model_max_length` ids; where it has none, as many as
        the text encoder has positions.

    Raises
    ------
    CheckpointError
        The folder holds no tokenizer, or one that does not fit the text encoder or the apps.
    """
    if not any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        raise CheckpointError(f"{folder} has neither vocab.json nor tokenizer.json; download the checkpoint again")
    _check_files(folder)
    with as_refusal(CheckpointError, f"{folder} holds no CLIP tokenizer: "):
        tokenizer = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    _check_manner(tokenizer, folder)
    _check_ids(tokenizer, folder, text)
    length = _length(tokenizer, folder, text)
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(length)
    backend.enable_padding(length=length, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    return CheckpointTokenizer(str(backend.to_str(pretty=True)), length)


def _check_files(folder: Path) -> None:
    """Refuse what the library would fail at without saying why, and two tokenizers in one folder."""
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.is_file() else {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        if config.get(name, "") is None:
            raise CheckpointError(
                f"{path}: {name} is null; name the token, CLIP's is "
                f"{'<|startoftext|>' if name == 'bos_token' else '<|endoftext|>'}"
            )
    files = [folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt")]
    if not all(path.is_file() for path in files):
        return
    content = read_json(files[0])
    with as_refusal(CheckpointError, f"{folder} holds no CLIP tokenizer: a damaged file (", ")"):
        model = content["model"]
        vocabulary, merges = BPE.read_file(*map(str, files[1:]))
        pairs = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        agree = pairs == merges and all(vocabulary.get(token, id_) == id_ for token, id_ in model["vocab"].items())
    if not agree:
        raise CheckpointError(
            f"{folder}: tokenizer.json gives other ids than vocab.json and merges.txt; remove what is not the model's"
        )


def _check_manner(tokenizer: CLIPTokenizerFast, folder: Path) -> None:
    """Refuse ways of making ids that apps, which pad and cut on the right, do not know."""
    for name, supported in (("padding_side", "right"), ("truncation_side", "right"), ("split_special_tokens", False)):
        value = getattr(tokenizer, name)
        if value != supported:
            raise CheckpointError(
                f"{folder / 'tokenizer_config.json'}: {name} is {json.dumps(value)}; a bundle's tokenizer can only do "
                f"{json.dumps(supported)}, as aMUSEd's"
            )


def _check_ids(tokenizer: CLIPTokenizerFast, folder: Path, text: TextConfig) -> None:
    tokens: dict[int, str] = {}
    for token, number in sorted(tokenizer.get_vocab().items()):
        if (other := tokens.setdefault(number, token)) != token:
            raise CheckpointError(
                f"{folder} gives the id {number} to {quoted(other)} and to {quoted(token)}; download it again"
            )
    last, token = max(tokens.items())
    if last >= text.vocab_size:
        raise CheckpointError(
            f"{folder} has the token {quoted(token)} with id {last}, but the text encoder knows {text.vocab_size} "
            "(vocab_size in text_encoder/config.json); resize its embedding, or remove the token"
        )
    unknown = tokenizer.unk_token
    if tokenizer.backend_tokenizer.model.token_to_id(unknown) is None:
        raise CheckpointError(
            f"{folder}: the unk_token {quoted(unknown)} is not in the vocabulary; name one that is (CLIP's is "
            "<|endoftext|>), or download the checkpoint again"
        )
    if tokenizer.pad_token_id is None:
        raise CheckpointError(f"{folder} has no pad token; set pad_token in tokenizer_config.json")


def _length(tokenizer: CLIPTokenizerFast, folder: Path, text: TextConfig) -> int:
    length, positions = tokenizer.model_max_length, text.max_position_embeddings
    if length == VERY_LARGE_INTEGER:  # the library's way to say that it was not set
        return positions
    if type(length) is not int or not _SHORTEST <= length <= positions:
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'}: model_max_length is {quoted(length)}; it must be a whole number from "
            f"{_SHORTEST} to the text encoder's max_position_embeddings, {positions}"
        )
    return length
