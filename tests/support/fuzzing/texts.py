"""What is read of cards, of places on a hub, and of what people write: prompts with weights, motions."""

import json
from pathlib import Path

from tests.support.fuzzing.bundles import BUNDLE, small_manifest
from tests.support.fuzzing.mutate import mutated_bytes, mutated_json
from tests.support.fuzzing.parser import Parser, Read, of_text


def _manifests() -> list[bytes]:
    return [json.dumps(small_manifest()).encode()]


def _write_card(text: str) -> None:
    """Whatever a manifest says, its card's own mark fits it, and its head ends where it should."""
    from amused_edge.runtime.bundle.card.text import card_text, is_untouched
    from amused_edge.runtime.bundle.manifest import Manifest

    card = card_text(Manifest.from_json(text))
    if not is_untouched(card):
        raise ValueError("a card that was just written counts as edited")
    if card.split("\n").count("---") != 2:
        raise ValueError("the manifest got out of the card's head, or into it")


def _cards() -> list[bytes]:
    from amused_edge.runtime.bundle.card.text import card_text
    from amused_edge.runtime.bundle.manifest import Manifest

    return [card_text(Manifest.from_json(_manifests()[0].decode())).encode(), b"# Mine\n"]


def _over_a_card(folder: Path) -> Read:
    """A card that was edited stays as it is, to the byte."""
    from amused_edge.runtime.bundle.card.file import write_card
    from amused_edge.runtime.bundle.card.text import is_untouched
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.errors import AmusedEdgeError

    bundle = folder / "bundle"
    bundle.mkdir(exist_ok=True)
    for file in BUNDLE.iterdir():
        if not (bundle / file.name).exists():
            (bundle / file.name).write_bytes(file.read_bytes())
    opened = Bundle.open(bundle)

    def one(data: bytes) -> None:
        card = bundle / "README.md"
        card.write_bytes(data)
        try:
            write_card(opened)
        except AmusedEdgeError:
            if card.read_bytes() != data:
                raise ValueError("an edited card was changed") from None
            raise
        if not is_untouched(data.decode()):
            raise ValueError("an edited card was written over")

    return one


def _address(text: str) -> object:
    from amused_edge.runtime.hub.address import parse_address

    return parse_address(text)


def _weights(text: str) -> object:
    from amused_edge.runtime.tasks.weights import with_weights

    return with_weights(text)


def _motions(folder: Path) -> Read:
    from amused_edge.runtime.tasks.motion_file import read_motions

    def one(data: bytes) -> object:
        path = folder / ("a.json" if data.startswith(b"[") else "a.csv")
        path.write_bytes(data)
        return read_motions(path)

    return one


_ADDRESSES = (
    b"owner/name/folder@refs/pr/1",
    b"https://huggingface.co/owner/name/tree/main/folder",
    b"hf://owner/name@main",
)
_PROMPTS = (rb"a (fox:1.3) in [the (snow)] \(at night\)", b"((((a))))", b"(a:.5)")

TEXTS = {
    "card": Parser(_cards, _over_a_card, mutated_bytes),
    "card of a manifest": Parser(_manifests, of_text(_write_card), mutated_json),
    "address": Parser(lambda: list(_ADDRESSES), of_text(_address), mutated_bytes),
    "prompt weights": Parser(lambda: list(_PROMPTS), of_text(_weights), mutated_bytes),
    "motions": Parser(lambda: [b"x,y\n0.1,0\n-0.2,0.5\n", b"[[0.1, 0], [-0.2, 0.5]]"], _motions, mutated_bytes),
}
