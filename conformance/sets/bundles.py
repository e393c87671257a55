"""Damaged bundles: edits of the demo's that make one which must be refused, and a few that must not."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from amused_edge.conformance.edits import MANIFEST, apply, touched
from amused_edge.conformance.vector_set import Values, VectorSet
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Golden
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.errors import AmusedEdgeError

_WRONG: dict[type, Any] = {dict: [], list: {}, str: 5, int: "5", float: "0.5", bool: "true"}
"""A value of another kind, which every language can tell from one of this kind."""

_FREE = {("tools",), ("quantization", "recipe")}
"""Objects that anything may stand in."""

_UNREAD = {("format",)}
"""What readers leave alone."""

_MAY_GO = {"derived_tensors", "tensors", "roles", "graphs", "files", "inputs", "outputs"}
"""Names of objects and lists whose members are no fields."""

_ESCAPES = ["", ".", "..", "../secret", "a/../../secret", "a/..", "./a", "/etc/passwd", "//server/share"]
_ESCAPES += ["..\\secret", "a\\b", "\\\\server\\share", "C:/secret", "C:secret", "a:stream", "a\0b"]


def _set(*path: str | int, value: Any, file: str = MANIFEST) -> Values:
    return {"op": "set", "file": file, "path": list(path), "value": value}


def _remove(*path: str | int) -> Values:
    return {"op": "remove", "file": MANIFEST, "path": list(path)}


def _case(stage: str, says: str, *edits: Values) -> Values:
    return {"edits": list(edits), "stage": stage, "says": says}


def _fields(manifest: Any) -> list[Values]:
    """Each field of the manifest gone, and of another kind; of things of one kind the first."""
    cases = []
    for path, value in _walk(manifest, ()):
        if path in _UNREAD:
            continue
        name = str(path[-1])
        if not (len(path) > 1 and path[-2] in _MAY_GO):
            cases.append(_case("open", name, _remove(*path)))
        cases.append(_case("open", name, _set(*path, value=_WRONG.get(type(value), False))))
    return cases


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if path:
        yield path, value
    if path in _FREE:
        return
    if isinstance(value, dict):
        alike = path and path[-1] in _MAY_GO
        for name in [next(iter(value))] if alike and value else value:
            yield from _walk(value[name], (*path, name))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield from _walk(value[0], (*path, 0))


def _values() -> list[Values]:
    """Fields of the right kind with a value that cannot be."""
    cases = [
        _case("open", "schema version 99", _set("schema_version", value=99)),
        _case("open", "no schema version 0", _set("schema_version", value=0)),
        _case("open", "optimize", _set("engine", "optimize", value="magic")),
        _case("open", "codebook_size", _set("geometry", "codebook_size", value=0)),
        _case("open", "grid_width", _set("geometry", "grid_width", value=10**9)),
        _case("open", "grid_height", _set("geometry", "grid_height", value=16.5)),
        _case("open", "mask_token_id", _set("geometry", "mask_token_id", value=255)),
        _case("open", "no files", _set("graphs", "denoiser", "files", value=[])),
        _case("open", "shape", _set("graphs", "denoiser", "inputs", 0, "shape", 1, value=1.5)),
        _case("open", "crop_top", _set("micro_conditioning", "crop_top", value=1e10)),
    ]
    odd: dict[str, list[Any]] = {
        "steps": [0, 10001, 1.5],
        "guidance_scale": [-1, 2e6],
        "temperature": [[1], [1, 2, 3], -1, "hot"],
        "schedule": ["sine"],
        "guidance_ramp": ["steep"],
        "guidance_interval": [[0.5, 0.4], [0, 2], [0]],
        "order": ["random"],
    }
    return cases + [
        _case("open", name, _set("sampler", name, value=value)) for name, values in odd.items() for value in values
    ]


def _parts(manifest: Any) -> list[Values]:
    """Roles and entries that are missing, names that leave the folder."""
    cases = [_case("open", role, _remove("graphs", role)) for role in ROLES]
    cases += [_case("open", name, _remove("files", name)) for name in manifest["files"]]
    places: list[tuple[str | int, ...]] = [("files", "golden.json"), ("graphs", "denoiser", "files", 1)]
    cases += [_case("open", "outside", _set(*place, "path", value=name)) for place in places for name in _ESCAPES]
    return [*cases, _case("open", "", _set("files", "golden.json", "path", value="x" * 300))]


def _texts() -> list[Values]:
    """A manifest that is no JSON object."""
    texts = ["", "{", "not json", "[1, 2", "[]", "null", "3", '"bundle"']
    cases = [_case("open", MANIFEST, {"op": "write", "file": MANIFEST, "text": text}) for text in texts]
    number = {"op": "replace", "file": MANIFEST, "find": '"schema_version": 1', "with": '"schema_version": NaN'}
    text = {"op": "replace", "file": MANIFEST, "find": '"license"', "with": '"licen\\x"'}
    return [*cases, _case("open", MANIFEST, number), _case("open", MANIFEST, text)]


def _files(manifest: Any) -> list[Values]:
    """Every file gone, shorter, longer, and with one byte changed."""
    names = [entry["path"] for entry in manifest["files"].values()]
    names += [entry["path"] for graph in manifest["graphs"].values() for entry in graph["files"]]
    cases = [_case("open", MANIFEST, {"op": "delete", "file": MANIFEST})]
    for name in names:
        cases += [
            _case("open", name, {"op": "delete", "file": name}),
            _case("open", name, {"op": "truncate", "file": name, "bytes": 1}),
            _case("verify", name, {"op": "flip", "file": name, "offset": -1, "mask": 1}),
        ]
    cases += [
        _case("open", names[-1], {"op": "append", "file": names[-1], "text": "more"}),
        _case("open", names[-1], {"op": "write", "file": names[-1], "text": ""}),
        _case("verify", "golden.json", _set("files", "golden.json", "sha256", value="0" * 64)),
        _case("verify", "denoiser.onnx", _set("graphs", "denoiser", "files", 0, "sha256", value="")),
    ]
    return cases


def _hostile() -> list[Values]:
    """What fits its hash and is wrong all the same."""

    def made(stage: str, says: str, *edits: Values) -> Values:
        return _case(stage, says, *edits, {"op": "relist", "file": edits[0]["file"]})

    def weights(place: str) -> Values:
        return {"op": "replace", "file": "denoiser.onnx", "find": "denoiser.onnx.data", "with": place}

    def text(file: str, content: str) -> Values:
        return {"op": "write", "file": file, "text": content}

    def tokenizer(*path: str | int, value: Any) -> Values:
        return made("load", "tokenizer.json", _set(*path, value=value, file="tokenizer.json"))

    more = {"type": "Replace", "pattern": {"Regex": "a"}, "content": "aaaaaaaaaa"}
    return [
        _case("load", "abacus", _set("target", value="abacus")),
        made("load", "conditioner.onnx", text("conditioner.onnx", "no model")),
        made("load", "conditioner.onnx", text("conditioner.onnx", "")),
        made("load", "denoiser.onnx.datb", weights("denoiser.onnx.datb")),
        made("load", "../../etc/password", weights("../../etc/password")),
        made("load", "tokenizer.json", weights("././tokenizer.json")),
        made("load", "denoiser.onnx.data", {"op": "truncate", "file": "denoiser.onnx.data", "bytes": 64}),
        made("load", "denoiser.onnx", {"op": "truncate", "file": "denoiser.onnx", "bytes": 1000}),
        made("load", "tokenizer.json", text("tokenizer.json", "{}")),
        tokenizer("padding", "strategy", "Fixed", value=78),
        tokenizer("padding", "pad_to_multiple_of", value=1000),
        tokenizer("padding", "direction", value="Left"),
        tokenizer("truncation", "stride", value=1),
        tokenizer("truncation", "direction", value="Left"),
        tokenizer("normalizer", "normalizers", 2, value=more),
        tokenizer("model", "dropout", value=0.5),
        tokenizer("model", "byte_fallback", value=True),
        tokenizer("truncation", "strategy", value="OnlySecond"),
        tokenizer("model", "type", value="WordPiece"),
        tokenizer("model", "constructor", value=1),
        tokenizer("model", "end_of_word_suffix", value=None),
        tokenizer("pre_tokenizer", "pretokenizers", 2, value={"type": "Digits", "individual_digits": False}),
        tokenizer("post_processor", "single", value=[]),
        tokenizer("decoder", "type", value="BPEDecoder"),
        tokenizer("model", "unk_token", value="<unk>"),
        tokenizer("model", "unk_token", value=None),
        made("load", "golden.json", text("golden.json", "{")),
        made("load", "golden.json", text("golden.json", "[]")),
        made("load", "tolerance", _set("tolerance", value=1, file="golden.json")),
        made("load", "input_ids", _set("input_ids", 0, value="1", file="golden.json")),
    ]


def _accepted() -> list[Values]:
    """Whole bundles that only look odd."""
    odd = [_case("load", "")]
    for name in ("weights/golden.json", "..data", "a..b", ".hidden"):
        copy = {"op": "copy", "file": "golden.json", "to": name}
        odd.append(_case("verify", "", copy, _set("files", "golden.json", "path", value=name)))
    whole = _set("sampler", "guidance_scale", value=2)
    return odd + [_case("open", "", edit) for edit in (whole, _set("more", value=1), _remove("tools", "numpy"))]


def bundle_sets(bundle: Path) -> tuple[VectorSet, ...]:
    """Return the sets over the demo's bundle."""

    def given() -> list[Values]:
        manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
        cases = [*_accepted(), *_texts(), *_parts(manifest), *_fields(manifest), *_values(), *_files(manifest)]
        return [*cases, *_hostile()]

    def answer(case: Values) -> Values:
        with _edited(bundle, case["edits"]) as folder:
            try:
                _open(folder, case["stage"])
            except AmusedEdgeError as error:
                named = case["says"] in str(error).replace("\\\\", "\\")
                return {"error": type(error).__name__, "named": named}
        return {"opens": True}

    about = "Edits of demo/bundle, and whether the bundle that they make is refused."
    return (VectorSet("damaged-bundles", about, given, answer),)


def _open(folder: Path, stage: str) -> None:
    """Open a bundle as far as a stage: its files are there ("open"), unchanged ("verify"), and make sense ("load")."""
    bundle = Bundle.open(folder)
    if stage == "open":
        return
    verification.verify(bundle)
    if stage == "verify":
        return
    PromptTokenizer(bundle.tokenizer, bundle.manifest.geometry.text_length)
    Golden.from_json(bundle.golden.read_text(encoding="utf-8"))
    for role in ROLES:
        load_graph(bundle, role, EngineOptions(threads=1)).close()


@lru_cache(maxsize=1)
def _copy_of(bundle: Path) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    shutil.copytree(bundle, Path(folder.name, "bundle"))
    return folder


@contextmanager
def _edited(bundle: Path, edits: list[Values]) -> Iterator[Path]:
    """Give a copy of a bundle with some edits for the length of a block."""
    folder = Path(_copy_of(bundle).name, "bundle")
    try:
        apply(edits, folder)
        yield folder
    finally:
        for name in touched(edits):
            (folder / name).unlink(missing_ok=True)
            if (bundle / name).is_file():
                shutil.copyfile(bundle / name, folder / name)
