"""What reads bytes that others made: for each, inputs to begin with, and a function that reads one.

A function may raise `AmusedEdgeError` and nothing else, and may open no file outside of its own folder.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.fuzzing.mutate import mutated_bytes, mutated_json, mutated_safetensors
from tests.support.paths import ROOT

Mutate = Callable[[bytes, random.Random], bytes]
Read = Callable[[bytes], object]

BUNDLE = ROOT / "demo" / "bundle"


@dataclass(frozen=True)
class Parser:
    """One kind of input.

    Attributes
    ----------
    seeds
        Inputs that are as they should be.
    read
        Reads an input.
    mutate
        Changes an input, knowing what it looks like.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], Read]
    mutate: Mutate


class EscapedError(Exception):
    """A file outside of the folder was opened, or a list of one asked for."""


_INSIDE: list[str] = []
"""Where an input that is being read may have files."""

_LIBRARIES = (sys.prefix, sys.base_prefix, "/proc/", "/dev/", "/sys/")
"""Where Python's modules lie, and what describes this machine."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _INSIDE or event not in ("open", "os.listdir", "os.scandir"):
        return
    path = arguments[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    real = os.path.realpath(os.fsdecode(path))
    if not real.startswith((_INSIDE[0], *_LIBRARIES)):
        raise EscapedError(real)


sys.addaudithook(_watch)


@contextlib.contextmanager
def kept_inside(folder: Path) -> Iterator[None]:
    """Raise `EscapedError` where Python opens a file that is neither in a folder nor a part of a library."""
    _INSIDE.append(os.path.realpath(folder))
    try:
        yield
    finally:
        _INSIDE.clear()


def tried(parser: Parser, folder: Path) -> Read:
    """Return what reads an input of a parser, and raises whatever is not one of our own errors, as `RuntimeError`.

    Raises
    ------
    AmusedEdgeError
        The parser's first seed cannot be read.
    """
    from amused_edge.runtime.errors import AmusedEdgeError

    read = parser.read(folder)
    first, *others = parser.seeds()
    read(first)  # which also imports what reading takes
    for seed in others:
        with contextlib.suppress(AmusedEdgeError):
            read(seed)

    def one(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with kept_inside(folder):
                    read(data)
            except AmusedEdgeError as error:
                if len(str(error)) > 4000 or "\n" in str(error):
                    raise RuntimeError(f"an error of {len(str(error))} characters, or of several lines") from error
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # libraries in Rust raise what is no Exception
                raise RuntimeError(f"{type(error).__name__}: {str(error)[:300]}") from error

    return one


def _text(read: Callable[[str], object]) -> Callable[[Path], Read]:
    """Read text; what is no UTF-8 is refused where the file is read."""

    def one(data: bytes) -> object:
        with contextlib.suppress(UnicodeDecodeError):
            return read(data.decode("utf-8", "surrogatepass"))
        return None

    return lambda folder: one


def _file(name: str, read: Callable[[Path], object]) -> Callable[[Path], Read]:
    """Read a file of this name."""

    def of(folder: Path) -> Read:
        path = folder / name

        def one(data: bytes) -> object:
            path.write_bytes(data)
            return read(path)

        return one

    return of


def small_manifest() -> dict[str, Any]:
    """Return the demo's manifest with one tensor of each graph."""
    content: dict[str, Any] = json.loads((BUNDLE / "manifest.json").read_text())
    for graph in content["graphs"].values():
        for name in ("tensors", "derived_tensors"):
            graph[name] = dict(list(graph[name].items())[:1])
    return content


def _entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [*manifest["files"].values(), *(file for graph in manifest["graphs"].values() for file in graph["files"])]


def _manifest_seeds() -> list[bytes]:
    content = small_manifest()
    tuned = {"transformer": None, "parent": None, "loras": []}
    return [json.dumps(each).encode() for each in (content, {**content, "fine_tuning": tuned})]


def _open_bundle(folder: Path) -> Read:
    """Open a bundle and check all hashes; beside it lies a file that is none of its own."""
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.bundle.verification import verify

    bundle = folder / "bundle"
    if not bundle.exists():
        bundle.mkdir()
        content = small_manifest()
        for entry in _entries(content):
            (bundle / entry["path"]).write_bytes(bytes(entry["bytes"] % 100))
        (bundle / "link").symlink_to("/etc/passwd")
        (bundle / "up").symlink_to("..")

    def one(data: bytes) -> None:
        (bundle / "manifest.json").write_bytes(data)
        with _inside(bundle):
            verify(Bundle.open(bundle))

    return one


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    outer, _INSIDE[:] = list(_INSIDE), [os.path.realpath(folder)] if _INSIDE else []
    try:
        yield
    finally:
        _INSIDE[:] = outer


def _bundle_seeds() -> list[bytes]:
    content = small_manifest()
    import hashlib

    for entry in _entries(content):
        entry["bytes"] %= 100
        entry["sha256"] = hashlib.sha256(bytes(entry["bytes"])).hexdigest()
    return [json.dumps(content).encode()]


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


def _parameters() -> list[bytes]:
    return [json.dumps(json.loads(text)["parameters"]).encode() for text in _states()[:4]]


def _recipes() -> list[bytes]:
    from amused_edge.quantization.recipes.for_onnx import RECIPES

    return [recipe.to_json().encode() for recipe in list(RECIPES.values())[:5]]


def _read_recipe(path: Path) -> object:
    from amused_edge.quantization.recipes.named import load_recipe

    return load_recipe(path)


def _results() -> list[bytes]:
    from tests.support.device_results import device_results

    return [json.dumps(device_results(name)).encode() for name in (None, "Phone")]


def _read_results(text: str) -> object:
    from amused_edge.benchmarks.device.results import parse_results

    return parse_results(text)


def _tokenizers() -> list[bytes]:
    content = json.loads((BUNDLE / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {
        name: number for name, number in vocabulary.items() if number < 40 or name.startswith("<|")
    }
    content["model"]["merges"] = []
    return [json.dumps(content).encode()]


def _read_tokenizer(path: Path) -> object:
    from amused_edge.runtime.drawing.tokenizer import PromptTokenizer

    return PromptTokenizer(path, 77)(["a fox", "", "é\u202e" * 20])


def _models() -> list[bytes]:
    import onnx
    from onnx import TensorProto, helper

    def tensor(name: str, **entries: str) -> Any:
        made = helper.make_tensor(name, TensorProto.FLOAT, [2], [1.0, 2.0])
        if entries:
            made.ClearField("float_data")
            made.data_location = TensorProto.EXTERNAL
            for key, value in entries.items():
                made.external_data.add(key=key, value=value)
        return made

    inner = helper.make_graph([], "inner", [], [], [tensor("c", location="x.data", offset="8", length="8")])
    nodes = [
        helper.make_node("Constant", [], ["k"], value=tensor("k")),
        helper.make_node("If", ["k"], ["y"], then_branch=inner, else_branch=inner),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [tensor("a"), tensor("b", location="x.data", length="8")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert onnx is not None
    return [model.SerializeToString()]


def _read_model(folder: Path) -> Read:
    from amused_edge.runtime.engines.onnx.external_data import external_data
    from amused_edge.runtime.engines.onnx.floats import with_hidden_floats

    def one(data: bytes) -> None:
        with contextlib.suppress(ValueError):  # which its callers make one error of
            external_data(data)
        with contextlib.suppress(ValueError):
            with_hidden_floats(data)

    return one


def _safetensors() -> list[bytes]:
    import numpy as np
    from safetensors.numpy import save

    a = np.ones((2, 3), np.float32)
    return [save({"a.weight": a, "b": a[0].astype(np.float16)}), save({"a": a}, {"format": "pt"})]


def _read_weights(folder: Path) -> Read:
    from amused_edge.export.checkpoint.safetensors_folder import SafetensorsFolder

    def one(data: bytes) -> None:
        (folder / "model.safetensors").write_bytes(data)
        weights = SafetensorsFolder(folder, "transformers")
        for name in list(weights.shapes)[:5]:
            weights.read(name)

    return one


def _loras() -> list[bytes]:
    import numpy as np
    from safetensors.numpy import save

    down, up = np.ones((2, 6), np.float32), np.ones((4, 2), np.float32)
    layer = "transformer_layers.0.attention.to_q"
    plain = {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}
    kohya = {"lora_unet_transformer_layers_0_attention_to_q.lora_down.weight": down}
    kohya |= {"lora_unet_transformer_layers_0_attention_to_q.lora_up.weight": up}
    kohya |= {"lora_unet_transformer_layers_0_attention_to_q.alpha": np.array(2, np.float32)}
    peft = {f"base_model.model.{layer}.lora_A.weight": down, f"base_model.model.{layer}.lora_B.weight": up}
    config = {"r": 2, "lora_alpha": 4, "alpha_pattern": {"to_q": 1}, "rank_pattern": {}, "target_modules": ["to_q"]}
    told = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in config.items()})}
    return [save(plain), save(kohya), save(peft), save(plain, told)]


def _read_lora(path: Path) -> object:
    from amused_edge.export.checkpoint.lora.lora import read_loras
    from amused_edge.export.checkpoint.lora.source import LoraSource

    shapes: dict[Any, tuple[int, ...]] = {("transformer", "transformer_layers.0.attention.to_q.weight"): (4, 6)}
    return read_loras((LoraSource(str(path)),), shapes)


def _indexes() -> list[bytes]:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    return [json.dumps({"metadata": {"total_size": 10}, "weight_map": names}).encode()]


def _read_index(folder: Path) -> Read:
    from amused_edge.export.checkpoint.weight_files import find_weight_files

    (folder / "model-00001-of-00002.safetensors").touch()
    (folder / "model-00002-of-00002.safetensors").touch()

    def one(data: bytes) -> None:
        (folder / "model.safetensors.index.json").write_bytes(data)
        find_weight_files(folder, "transformers")

    return one


def _bytecode() -> list[bytes]:
    """MLIR bytecode of two strings and two constants, by the format's own description."""

    def number(value: int) -> bytes:
        return bytes([(value << 1 | 1) & 0xFF]) if value < 128 else (value << 2 | 2).to_bytes(2, "little")

    def section(kind: int, content: bytes) -> bytes:
        return bytes([kind]) + number(len(content)) + content

    texts = number(2) + number(3) + number(3) + b"aa\0bb\0"
    blob = number(1) + number(4) + b"1234"
    table = number(0) + number(0) + number(2)
    table += number(0) + number(len(blob)) + b"\0" + number(1) + number(len(blob)) + b"\0"
    return [b"ML\xefR" + number(6) + b"x\0" + section(0, texts) + section(5, blob + blob) + section(6, table)]


def _read_bytecode(path: Path) -> object:
    from amused_edge.runtime.engines.coreai.bytecode import read_blobs

    with contextlib.suppress(ValueError):  # which its callers make one error of
        return read_blobs(path)
    return None


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


def _forms() -> list[bytes]:
    import numpy as np

    from amused_edge.runtime.pictures.files import encode_png

    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    field = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    picture = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%s\r\n'
    fields = b"".join(field % pair for pair in ((b"prompt", b"a fox"), (b"n", b"1"), (b"temperature[]", b"2")))
    return [fields + picture % png + b"--x--\r\n", field % (b"steps", b"4") + b"--x--\r\n"]


def _read_form(folder: Path) -> Read:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from amused_edge.runtime.bundle.manifest import Manifest
    from amused_edge.serve.api import images
    from amused_edge.serve.http.answers import ProblemError

    geometry = Manifest.from_json(json.dumps(small_manifest())).geometry
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b"", "app": None}

    async def ask(data: bytes) -> None:
        parts = [data[: len(data) // 2], data[len(data) // 2 :]]

        async def receive() -> Any:
            return {"type": "http.request", "body": parts.pop(0), "more_body": len(parts) > 0}

        with contextlib.suppress(ProblemError, HTTPException):
            async with Request(scope, receive).form(max_files=2, max_fields=64, max_part_size=64 * 1024) as form:
                images._common(images._fields(form), geometry)

    loop = asyncio.new_event_loop()
    return lambda data: loop.run_until_complete(ask(data))


def _bodies() -> list[bytes]:
    import base64

    import numpy as np

    from amused_edge.runtime.pictures.files import encode_png

    png = base64.b64encode(encode_png(np.zeros((4, 4, 3), np.uint8))).decode()
    text = {"prompts": ["a fox", "a boat"], "steps": 4, "seed": "12", "guidance_scale": 2.0, "previews": 2}
    paint = {"prompts": "a fox", "task": "inpainting", "image": png, "mask": png, "strength": 0.5, "feather": 1}
    around = {"prompts": "a fox", "task": "outpainting", "image": png, "left": 2, "temperature": [2, 0]}
    return [json.dumps(each).encode() for each in (text, paint, around, {"like": json.loads(_parameters()[0])})]


def _read_body(folder: Path) -> Read:
    from amused_edge.runtime.bundle.manifest import Manifest
    from amused_edge.serve.drawing.requests import draw_request, parse

    manifest = Manifest.from_json(json.dumps(small_manifest()))
    return lambda data: draw_request(parse(data), manifest)


def _core_ml() -> list[bytes]:
    import tempfile

    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil import Builder

    from amused_edge.runtime.engines.coreml.quiet_coremltools import writing

    block = Builder.program(input_specs=[Builder.TensorSpec((1, 4))], opset_version=ct.target.iOS17)(
        lambda x: Builder.linear(x=x, weight=np.ones((3, 4), np.float32), name="y")
    )
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "a.mlpackage"
        with writing(package):
            system = ct.target.iOS17
            model = ct.convert(block, convert_to="mlprogram", minimum_deployment_target=system, skip_model_load=True)
            model.save(str(package))
        content = package / "Data" / "com.apple.CoreML"
        model, weights = ((content / name).read_bytes() for name in ("model.mlmodel", "weights/weight.bin"))
        return [len(model).to_bytes(4, "little") + model + weights]


def _read_core_ml(folder: Path) -> Read:
    from amused_edge.runtime.engines.coreml.program import read_program

    content = folder / "a.mlpackage" / "Data" / "com.apple.CoreML"
    (content / "weights").mkdir(parents=True, exist_ok=True)

    def one(data: bytes) -> None:
        length = int.from_bytes(data[:4], "little") % 2**16
        (content / "model.mlmodel").write_bytes(data[4 : 4 + length])
        (content / "weights" / "weight.bin").write_bytes(data[4 + length :])
        read_program(folder / "a.mlpackage")

    return one


def _read_png(path: Path) -> object:
    from amused_edge.runtime.pictures import read_parameters

    return read_parameters(path)


def _decode(folder: Path) -> Read:
    from amused_edge.runtime.pictures.opening import decode_picture

    return lambda data: decode_picture(data, "image", 2**20)


def _reader(room: str, name: str, method: str = "from_json") -> Callable[[Path], Read]:
    """Return what reads text by a class's own function."""

    def read(text: str) -> object:
        module = __import__(f"amused_edge.{room}", fromlist=[name])
        return getattr(getattr(module, name), method)(text)

    return _text(read)


PARSERS = {
    "manifest": Parser(_manifest_seeds, _reader("runtime.bundle.manifest", "Manifest"), mutated_json),
    "bundle": Parser(_bundle_seeds, _open_bundle, mutated_json),
    "golden": Parser(
        lambda: [(BUNDLE / "golden.json").read_bytes()], _reader("runtime.bundle.golden", "Golden"), mutated_json
    ),
    "state": Parser(_states, _reader("runtime.tasks.state", "PictureState"), _mutated_state),
    "clip state": Parser(_clip_states, _reader("runtime.tasks.clip_state", "ClipState"), _mutated_state),
    "parameters": Parser(_parameters, _reader("runtime.tasks.parameters", "PictureParameters"), mutated_json),
    "png": Parser(_png_seeds, _file("a.png", _read_png), _mutated_png),
    "picture": Parser(_png_seeds, _decode, _mutated_png),
    "recipe": Parser(_recipes, _file("a.json", _read_recipe), mutated_json),
    "results": Parser(_results, _text(_read_results), mutated_json),
    "tokenizer": Parser(_tokenizers, _file("tokenizer.json", _read_tokenizer), mutated_json),
    "external data": Parser(_models, _read_model, mutated_bytes),
    "safetensors": Parser(_safetensors, _read_weights, mutated_safetensors),
    "index": Parser(_indexes, _read_index, mutated_json),
    "lora": Parser(_loras, _file("a.safetensors", _read_lora), mutated_safetensors),
    "bytecode": Parser(_bytecode, _file("main.mlirb", _read_bytecode), mutated_bytes),
    "core ml": Parser(_core_ml, _read_core_ml, mutated_bytes),
    "file request": Parser(_requests, _ask_for_file, mutated_bytes),
    "form": Parser(_forms, _read_form, mutated_bytes),
    "body": Parser(_bodies, _read_body, mutated_json),
}
"""Name -> parser. Model cards are read by another room: add them here when they are there."""
