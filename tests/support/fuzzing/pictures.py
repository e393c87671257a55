"""What is read of pictures: their files, the parameters in them, and the states that they go on from."""

import contextlib
import json
import random
import zlib
from pathlib import Path

from tests.support.fuzzing.mutate import mutated_bytes, mutated_json
from tests.support.fuzzing.parser import Parser, Read, of_file, reader
from tests.support.paths import ROOT

BUNDLE = ROOT / "demo" / "bundle"


def _states() -> list[bytes]:
    content = json.loads((ROOT / "conformance" / "vectors" / "states.json").read_text())
    return [case["given"]["text"].encode() for case in content["cases"][:6]]


def _mutated_state(data: bytes, chance: random.Random) -> bytes:
    """Change a state, and mostly seal it again: else all but the hash would go unread."""
    from amused_edge.runtime.errors import StateError
    from amused_edge.runtime.tasks.sealed import hash_of

    changed = mutated_json(data, chance)
    if chance.random() < 0.1:
        return changed
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError, StateError):
        content = json.loads(changed)
        content.pop("sha256", None)
        return json.dumps({**content, "sha256": hash_of(content)}).encode()
    return changed


def _clip_states() -> list[bytes]:
    from amused_edge.runtime import AmusedPipeline, GenerationOptions, TextToImage
    from amused_edge.runtime.tasks.clip import Clip

    with AmusedPipeline.from_bundle(BUNDLE, verify=False) as pipeline:
        begun = pipeline.begin_video(TextToImage("a fox"), Clip(frames=3), GenerationOptions(steps=2))
    return [begun.to_json().encode()]


def _png_seeds() -> list[bytes]:
    import numpy as np

    from amused_edge.runtime.pictures.files import encode_animation, encode_png

    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    return [encode_png(image, '{"a": 1}'), encode_png(image), encode_animation([image, image], 0.1)]


def _mutated_png(data: bytes, chance: random.Random) -> bytes:
    """Change a chunk of a PNG, and mostly its check sum with it."""
    if chance.random() < 0.2 or len(data) < 12:
        return mutated_bytes(data, chance)
    chunks, place = [], 8
    while place + 12 <= len(data) and len(chunks) < 50:
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append([data[place + 4 : place + 8], data[place + 8 : place + 8 + length]])
        place += 12 + length
    if not chunks:
        return mutated_bytes(data, chance)
    chunk = chance.choice(chunks)
    chunk[1] = mutated_bytes(chunk[1], chance)
    if chance.random() < 0.3:
        name = chance.choice((b"iTXt", b"zTXt", b"tEXt", b"iCCP", b"eXIf"))
        chunks.insert(chance.randrange(len(chunks) + 1), [name, chunk[1]])
    body = b"".join(
        len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
        for name, content in chunks
    )
    return (data[:8] + body)[: 2**16]


def parameters() -> list[bytes]:
    return [json.dumps(json.loads(text)["parameters"]).encode() for text in _states()[:4]]


def _read_png(path: Path) -> object:
    from amused_edge.runtime.pictures import read_parameters

    return read_parameters(path)


def _decode(folder: Path) -> Read:
    from amused_edge.runtime.pictures.opening import decode_picture

    return lambda data: decode_picture(data, "image", 2**20)


PICTURES = {
    "state": Parser(_states, reader("runtime.tasks.state", "PictureState"), _mutated_state),
    "clip state": Parser(_clip_states, reader("runtime.tasks.clip_state", "ClipState"), _mutated_state),
    "parameters": Parser(parameters, reader("runtime.tasks.parameters", "PictureParameters"), mutated_json),
    "png": Parser(_png_seeds, of_file("a.png", _read_png), _mutated_png),
    "picture": Parser(_png_seeds, _decode, _mutated_png),
}
