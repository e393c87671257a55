"""Ids, web addresses and refusals of the Hugging Face hub, as answered by a small server on this machine."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import huggingface_hub
import pytest

from amused_edge.export.checkpoint import hub
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.checkpoint.hub import HubModel, hub_model
from amused_edge.export.errors import CheckpointError
from tests.support.paths import DEMO_CHECKPOINT

Make = Callable[..., Path]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server answers: status and headers per model, and the files of those that it has."""

    url: str = ""
    refusals: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


def answer(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(self.path.split("?")[0])
            hub.asked.append(path)
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self.api("/".join(parts[2:4]), parts[4:])
            else:
                self.file(hub.files["/".join(parts[:2])] / "/".join(parts[4:]))

        def api(self, name: str, rest: list[str]) -> None:
            refusal = hub.refusals.get(name)
            if refusal is None and name not in hub.files:
                refusal = (401, {"X-Error-Message": "Invalid username or password."})  # as for a misspelt id
            if refusal is None and rest[:1] == ["revision"] and rest[1] not in ("main", "fp16", COMMIT):
                refusal = (404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {rest[1]}"})
            if refusal is not None:
                self.send(refusal[0], b'{"error": "no"}', refusal[1])
                return
            root = hub.files[name]
            paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
            names = {str(path.relative_to(root)): path.stat().st_size for path in paths}
            if rest[:1] == ["tree"]:
                content: Any = [{"type": "file", "path": n, "size": s, "oid": "0" * 40} for n, s in names.items()]
            else:
                content = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}
            self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def file(self, path: Path) -> None:
            content = path.read_bytes()
            self.send(200, content, {"ETag": f'"{abs(hash(str(path))):040x}"', "X-Repo-Commit": COMMIT})

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    return Handler


@pytest.fixture
def server() -> Iterator[Hub]:
    hub = Hub()
    with ThreadingHTTPServer(("127.0.0.1", 0), answer(hub)) as listening:
        hub.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield hub
        listening.shutdown()
        thread.join()


_FETCH = """
import sys
from amused_edge.export.checkpoint.hub import download, hub_model
from amused_edge.runtime.errors import AmusedEdgeError
try:
    model = hub_model(sys.argv[1])
    folder = download(model, sys.argv[2] or None)
    print("fetched", model.name, sorted(path.name for path in folder.glob("text_encoder/*")))
except AmusedEdgeError as error:
    print(type(error).__name__, error)
"""


def fetched(server: Hub, tmp_path: Path, source: str, variant: str = "", **environment: str) -> str:
    """Fetch a model in a process of its own, whose hub is the server; returns what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _FETCH, source, variant],
        cwd=tmp_path,
        env={**kept, **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    return done.stdout.strip()


REFUSALS: dict[str, tuple[int, dict[str, str], str]] = {
    "gated": (401, {"X-Error-Code": "GatedRepo"}, "its owner gives access on request; ask for it at {url}/some/model"),
    "gated, with a token": (403, {"X-Error-Code": "GatedRepo"}, "ask for it at {url}/some/model, then log in with"),
    "private": (404, {"X-Error-Code": "RepoNotFound"}, "the hub has no such model, or it is private; check the"),
    "misspelt": (401, {"X-Error-Message": "Invalid username or password."}, "the hub has no such model, or it"),
    "disabled": (403, {"X-Error-Message": "Access to this resource is disabled."}, "the hub has disabled it"),
    "a wrong token": (
        401,
        {"X-Error-Message": "Invalid credentials in Authorization header"},
        "the hub does not accept your token; log in with `hf auth login`, or set HF_TOKEN (status 401)",
    ),
    "a token without rights": (403, {"X-Error-Message": "no"}, "your token may not read it; log in with"),
    "out of order": (501, {}, "the hub is out of order (status 501); try again later"),
}


@pytest.mark.parametrize(("status", "headers", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_as_what_it_means(
    status: int, headers: dict[str, str], expected: str, server: Hub, tmp_path: Path
) -> None:
    """All of them were told as "401 Client Error"."""
    server.refusals["some/model"] = (status, headers)
    said = fetched(server, tmp_path, "some/model")
    assert said.startswith("CheckpointError some/model is neither a folder nor could it be downloaded from the hub: ")
    assert expected.format(url=server.url) in said
    assert "Client Error" not in said


def test_offline_and_without_a_network_are_told_apart(server: Hub, tmp_path: Path) -> None:
    said = fetched(server, tmp_path, "some/model", HF_HUB_OFFLINE="1")
    assert "it is not wholly in the cache, and HF_HUB_OFFLINE forbids asking the hub; unset it" in said
    said = fetched(server, tmp_path, "some/model", HF_ENDPOINT="http://127.0.0.1:1")
    assert "the hub cannot be reached (" in said
    assert said.endswith("; check the network")
    assert server.asked == []


def test_a_revision_that_is_not_there_is_named(server: Hub, tmp_path: Path) -> None:
    server.files["some/model"] = DEMO_CHECKPOINT
    for source in ("some/model@absent", f"{server.url}/some/model/tree/absent"):
        assert f"it has no revision 'absent'; see {server.url}/some/model" in fetched(server, tmp_path, source)


def test_a_model_is_fetched_by_id_address_and_revision(server: Hub, make_checkpoint: Make, tmp_path: Path) -> None:
    server.files["some/model"] = make_checkpoint()
    for source in (f"{server.url}/some/model/tree/fp16/", "some/model@fp16", " some/model/ ", "hf://some/model"):
        assert fetched(server, tmp_path, source) == "fetched some/model ['config.json', 'model.safetensors']"
    assert "/api/models/some/model/revision/fp16" in server.asked


def rename_weights(
    folder: Path, ending: str, parts: tuple[str, ...] = ("transformer", "vqvae", "text_encoder")
) -> None:
    for part in parts:
        for file in (folder / part).glob("*.safetensors"):
            file.rename(file.with_name(file.name.removesuffix(".safetensors") + ending))


@pytest.mark.parametrize(
    ("ending", "variant", "expected"),
    [
        (".fp16.safetensors", "", "some/model has its text_encoder in half precision only; add --variant fp16"),
        (".safetensors", "fp16", "some/model has no fp16 files; leave --variant out"),
        (
            ".bin",
            "",
            "some/model holds only pickled weights (text_encoder/model.bin), which can run code when loaded; save them "
            "as safetensors first, in diffusers: `AmusedPipeline.from_pretrained('some/model').save_pretrained(NEW,",
        ),
        (".fp16.bin", "fp16", "some/model holds only pickled weights (text_encoder/model.fp16.bin)"),
        (".ckpt", "", "fetched some/model ['config.json']"),
    ],
)
def test_files_that_are_not_wanted_are_advised_on(
    ending: str, variant: str, expected: str, server: Hub, make_checkpoint: Make, tmp_path: Path
) -> None:
    """They were told as no checkpoint at all; folders had better advice."""
    folder = server.files["some/model"] = make_checkpoint()
    rename_weights(folder, ending)
    assert expected in fetched(server, tmp_path, "some/model", variant)
    assert not any(path.endswith((".bin", ".ckpt")) for path in server.asked)


def test_half_precision_in_one_network_only(server: Hub, make_checkpoint: Make, tmp_path: Path) -> None:
    """With a variant, only its files were fetched, though diffusers takes the plain ones of other networks."""
    folder = server.files["some/model"] = make_checkpoint()
    rename_weights(folder, ".fp16.safetensors", ("transformer",))
    fetched(server, tmp_path, "some/model", "fp16")
    files = {path.split("/", 5)[-1] for path in server.asked if "/resolve/" in path and "safetensors" in path}
    assert files == {
        "transformer/diffusion_pytorch_model.fp16.safetensors",
        "vqvae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }


AMUSED = HubModel("amused/amused-256")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("amused/amused-256", AMUSED),
        ("amused/amused-256/", AMUSED),
        ("amused/amused-256@main", HubModel("amused/amused-256", "main")),
        ("amused/amused-256@refs/pr/1", HubModel("amused/amused-256", "refs/pr/1")),
        ("https://huggingface.co/amused/amused-256", AMUSED),
        ("https://huggingface.co/amused/amused-256/", AMUSED),
        ("http://www.huggingface.co/amused/amused-256?library=diffusers#usage", AMUSED),
        ("HTTPS://HuggingFace.co/amused/amused-256", AMUSED),
        ("https://hf.co/amused/amused-256", AMUSED),
        ("hf.co/amused/amused-256", AMUSED),
        ("huggingface.co/amused/amused-256", AMUSED),
        ("https://huggingface.co/amused/amused-256/tree/main", HubModel("amused/amused-256", "main")),
        ("https://huggingface.co/amused/amused-256/tree/main/transformer", HubModel("amused/amused-256", "main")),
        ("https://huggingface.co/amused/amused-256/tree/refs%2Fpr%2F1", HubModel("amused/amused-256", "refs/pr/1")),
        ("https://huggingface.co/amused/amused-256/blob/v1/README.md", HubModel("amused/amused-256", "v1")),
        ("https://huggingface.co/amused/amused-256/resolve/main/a.bin", HubModel("amused/amused-256", "main")),
        ("https://huggingface.co/amused/amused-256/discussions/3", AMUSED),
        ("https://huggingface.co/api/models/amused/amused-256", AMUSED),
        ("hf://amused/amused-256", AMUSED),
        ("hf://models/amused/amused-256@v1", HubModel("amused/amused-256", "v1")),
        ("hf://amused/amused-256/transformer/config.json", AMUSED),
        ("./checkpoint/demo", None),
        ("../demo", None),
        ("./demo", None),
        ("/demo", None),
        ("demo", None),
        ("a/b/c", None),
        ("~/demo", None),
        ("", None),
    ],
)
def test_what_names_a_model(source: str, expected: HubModel | None) -> None:
    assert hub_model(source) == expected


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("https://huggingface.co/datasets/amused/pictures", "is the address of a data set; give a hub id"),
        ("https://huggingface.co/spaces/amused/demo", "is the address of a space"),
        ("https://huggingface.co/collections/amused/amused-659fb", "is the address of a collection"),
        ("https://huggingface.co/models?search=amused", "is the address of no model"),
        ("https://huggingface.co/amused", "is the address of no model"),
        ("https://huggingface.co/", "is the address of no model"),
        ("hf://datasets/amused/pictures", "is the address of a data set"),
        ("https://github.com/huggingface/amused", "is no address of the Hugging Face hub; give a folder or a hub id"),
        ("https://huggingface.co.evil.example/a/b", "is no address of the Hugging Face hub"),
        ("file:///home/amused/model", "is no address of the Hugging Face hub"),
        ("s3://bucket/model", "is no address of the Hugging Face hub"),
    ],
)
def test_other_addresses_are_explained(address: str, match: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address was read as a path: "cannot read https:/huggingface.co/...model_index.json"."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("asked the hub"))
    with pytest.raises(CheckpointError, match=match) as caught:
        open_checkpoint(address)
    assert address in str(caught.value)


@pytest.mark.parametrize(
    "source", ["amused/amused 256", "amused-256", "amused\\amused-256", "a/b/c", "./x/y", "", "x" * 5000]
)
def test_what_is_neither_folder_nor_id_is_told_both(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("asked the hub"))
    with pytest.raises(CheckpointError, match=r"there is no such folder, and .* is no hub id") as caught:
        open_checkpoint(source)
    assert "amused/amused-256" in str(caught.value)


def test_a_folder_that_is_not_there_is_told_as_one(server: Hub, tmp_path: Path) -> None:
    """ "bundles/amused-256" looks like an id, but its user may have meant a folder."""
    said = fetched(server, tmp_path, "bundles/amused-256")
    assert "bundles/amused-256 is neither a folder nor could it be downloaded from the hub" in said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left for the hub's cache in "),
        (PermissionError(errno.EACCES, "Permission denied"), "the hub's cache cannot be written in "),
        (OSError(errno.EROFS, "Read-only file system"), "the hub's cache cannot be written in "),
        (
            huggingface_hub.errors.HFValidationError("Repo id must use alphanumeric chars"),
            "it is no valid hub id (Repo",
        ),
        (huggingface_hub.errors.LocalEntryNotFoundError("An error happened"), "HF_HUB_OFFLINE forbids asking the hub"),
        (OSError("no route\nmore"), "no route"),
    ],
    ids=str,
)
def test_other_failures(error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised by a stand-in: none of them can be brought about on every machine."""

    def fail(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match=r"^some/model is neither a folder nor ") as caught:
        hub.download(HubModel("some/model"), None)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
