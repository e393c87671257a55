"""What is read of a bundle: manifest, golden output, tokenizer, graphs of each engine."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from tests.support.fuzzing.mutate import mutated_bytes, mutated_json
from tests.support.fuzzing.parser import Parser, Read, inside, of_file, reader
from tests.support.fuzzing.protobuf import mutated_protobuf
from tests.support.paths import ROOT

BUNDLE = ROOT / "demo" / "bundle"


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


def _goldens() -> list[bytes]:
    """A golden picture whose lists are short: changes meet what surrounds them as often as one of their numbers."""
    content: dict[str, Any] = json.loads((BUNDLE / "golden.json").read_text())
    short = {key: value[:6] if isinstance(value, list) else value for key, value in content.items()}
    return [json.dumps(short).encode()]


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
        with inside(bundle):
            verify(Bundle.open(bundle))

    return one


def _bundle_seeds() -> list[bytes]:
    content = small_manifest()
    for entry in _entries(content):
        entry["bytes"] %= 100
        entry["sha256"] = hashlib.sha256(bytes(entry["bytes"])).hexdigest()
    return [json.dumps(content).encode()]


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
    for _ in range(25):  # deeper than is read
        deeper = helper.make_node("If", ["k"], ["y"], then_branch=inner, else_branch=helper.make_graph([], "e", [], []))
        inner = helper.make_graph([deeper], "inner", [], [])
    deep = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return [model.SerializeToString(), deep.SerializeToString()]


def _read_model(folder: Path) -> Read:
    from amused_edge.runtime.engines.onnx.external_data import external_data
    from amused_edge.runtime.engines.onnx.floats import with_hidden_floats

    def one(data: bytes) -> None:
        with contextlib.suppress(ValueError):  # which its callers make one error of
            external_data(data)
        with contextlib.suppress(ValueError):
            with_hidden_floats(data)

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


BUNDLES = {
    "manifest": Parser(_manifest_seeds, reader("runtime.bundle.manifest", "Manifest"), mutated_json),
    "bundle": Parser(_bundle_seeds, _open_bundle, mutated_json),
    "golden": Parser(_goldens, reader("runtime.bundle.golden", "Golden"), mutated_json),
    "tokenizer": Parser(_tokenizers, of_file("tokenizer.json", _read_tokenizer), mutated_json),
    "external data": Parser(_models, _read_model, mutated_protobuf),
    "bytecode": Parser(_bytecode, of_file("main.mlirb", _read_bytecode), mutated_bytes),
}
