"""What `serve` reads of a request: of a file, a form, a body."""

import asyncio
import base64
import contextlib
import json
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.fuzzing.bundles import small_manifest
from tests.support.fuzzing.mutate import mutated_bytes, mutated_json, rearranged
from tests.support.fuzzing.parser import Parser, Read
from tests.support.fuzzing.pictures import parameters


def _requests() -> list[bytes]:
    return [
        b"bytes=0-99\0gzip\0*\0",
        b'bytes=-5,10-20\0identity;q=0\0"x", W/"y"\0"x"',
        b"bytes=0-\0*;q=0.5\0\0Wed, 21 Oct 2015 07:28:00 GMT",
    ]


def _ask_for_file(folder: Path) -> Read:
    from starlette.requests import Request

    from amused_edge.serve.http.answers import ProblemError
    from amused_edge.serve.http.files import File, file_answer

    path = folder / "a.json"
    path.write_bytes(bytes(range(256)) * 4)
    file = File.of(path)
    names = (b"range", b"accept-encoding", b"if-none-match", b"if-range")

    async def ask(values: list[bytes]) -> None:
        headers = [(name, value) for name, value in zip(names, values, strict=False) if value]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b"", "asgi": _ASGI}
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        with contextlib.suppress(ProblemError):
            answer = await file_answer(Request(scope), file)
            await answer(scope, receive, send)
            _check_answer(sent, path.read_bytes())

    loop = asyncio.new_event_loop()
    return lambda data: loop.run_until_complete(ask(data.split(b"\0")))


_ASGI = {"spec_version": "2.4"}


def _check_answer(sent: list[dict[str, Any]], content: bytes) -> None:
    """Raise if a part is not that of the file, or longer than it is said to be."""
    head = dict(sent[0]["headers"])
    body = b"".join(message.get("body", b"") for message in sent[1:])
    if b"content-length" in head and int(head[b"content-length"]) != len(body) and sent[0]["status"] != 304:
        raise RuntimeError(f"{len(body)} bytes, {head}")
    if len(body) > 64 * len(content) + 2**20:
        raise RuntimeError(f"{len(body)} bytes of a file of {len(content)}")
    if sent[0]["status"] == 206 and b"content-range" in head and body not in content:
        raise RuntimeError("a part that the file has not")


_BOUNDARY = b"--x"
_FIELD = b'Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
_FILE = b'Content-Disposition: form-data; name="%s"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n%s\r\n'


def _form(parts: Sequence[bytes]) -> bytes:
    return b"".join(_BOUNDARY + b"\r\n" + part for part in parts) + _BOUNDARY + b"--\r\n"


def _forms() -> list[bytes]:
    import numpy as np

    from amused_edge.runtime.pictures.files import encode_png

    picture = encode_png(np.zeros((4, 4, 3), np.uint8))
    mask = encode_png(np.arange(64, dtype=np.uint8).reshape(4, 4, 4) // 32 * 255)
    fields = {b"prompt": b"a fox", b"n": b"1", b"stream": b"true", b"seed": b"12", b"feather": b"1"}
    fields |= {b"size": b"auto", b"output_format": b"png", b"background": b"opaque", b"negative_prompt": b"red"}
    pair = [_FIELD % (b"temperature[]", number) for number in (b"2", b"0")]
    files = [_FILE % (b"image", picture), _FILE % (b"mask", mask)]
    painted = [*(_FIELD % field for field in fields.items()), *pair, *files]
    varied = [_FIELD % (b"prompt", b"a boat"), _FIELD % (b"strength", b"0.5"), _FILE % (b"image[]", picture)]
    return [_form(painted), _form(varied), _form([_FIELD % (b"steps", b"4")])]


_NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"1_0", b"9" * 5000, "\u0663".encode())
_VALUES = (*_NUMBERS, b"", b"true", b"\xff", b"\r\n", b"x" * 60_000)


def _mutated_form(data: bytes, chance: random.Random) -> bytes:
    """Change a part of a form, which mostly stays one: its name, what it says, or the order."""
    parts = data.removesuffix(_BOUNDARY + b"--\r\n").split(_BOUNDARY + b"\r\n")[1:]
    if not parts or chance.random() < 0.2:
        return mutated_bytes(data, chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(len(parts))
        head, between, content = parts[place].partition(b"\r\n\r\n")
        kind = chance.randrange(5)
        if kind == 0:
            parts = rearranged(parts, chance) or parts
        elif kind == 1:
            head = chance.choice(parts).partition(b"\r\n\r\n")[0]
            parts[place] = head + between + content
        elif kind == 2:
            parts[place] = mutated_bytes(head, chance) + between + content
        elif kind == 3:
            parts[place] = head + between + chance.choice(_VALUES) + b"\r\n"
        else:
            parts[place] = head + between + mutated_bytes(content.removesuffix(b"\r\n"), chance) + b"\r\n"
    return _form(parts)[: 2**16]


def _read_form(folder: Path) -> Read:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from amused_edge.runtime.bundle.manifest import Manifest
    from amused_edge.serve.api import images
    from amused_edge.serve.http.answers import ProblemError

    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # as `serve` does
    geometry = Manifest.from_json(json.dumps(small_manifest())).geometry
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b"", "app": None}

    async def ask(data: bytes) -> None:
        parts = [data[: len(data) // 2], data[len(data) // 2 :]]

        async def receive() -> Any:
            return {"type": "http.request", "body": parts.pop(0), "more_body": len(parts) > 0}

        with contextlib.suppress(ProblemError, HTTPException):
            async with Request(scope, receive).form(max_files=2, max_fields=64, max_part_size=64 * 1024) as form:
                content = images._fields(form)
                asked = images._common(content, geometry)
                files = await images._pictures(form)
            images._edit(files, content, asked)

    loop = asyncio.new_event_loop()
    return lambda data: loop.run_until_complete(ask(data))


def _bodies() -> list[bytes]:
    import numpy as np

    from amused_edge.runtime.pictures.files import encode_png

    png = base64.b64encode(encode_png(np.zeros((4, 4, 3), np.uint8))).decode()
    text = {"prompts": ["a fox", "a boat"], "steps": 4, "seed": "12", "guidance_scale": 2.0, "previews": 2}
    paint = {"prompts": "a fox", "task": "inpainting", "image": png, "mask": png, "strength": 0.5, "feather": 1}
    around = {"prompts": "a fox", "task": "outpainting", "image": png, "left": 2, "temperature": [2, 0]}
    return [json.dumps(each).encode() for each in (text, paint, around, {"like": json.loads(parameters()[0])})]


def _read_body(folder: Path) -> Read:
    from amused_edge.runtime.bundle.manifest import Manifest
    from amused_edge.serve.drawing.requests import draw_request, parse

    manifest = Manifest.from_json(json.dumps(small_manifest()))
    return lambda data: draw_request(parse(data), manifest)


REQUESTS = {
    "file request": Parser(_requests, _ask_for_file, mutated_bytes),
    "form": Parser(_forms, _read_form, _mutated_form),
    "body": Parser(_bodies, _read_body, mutated_json),
}
