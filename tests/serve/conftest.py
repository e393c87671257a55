"""A site over the bundle of the repository, with a page of three files, in this process."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from amused_edge.runtime import EngineOptions
from amused_edge.serve.app import application
from amused_edge.serve.http.guard import Rules
from amused_edge.serve.http.page import page_files
from amused_edge.serve.shelf import Shelf
from amused_edge.serve.site import Site
from tests.support.paths import ROOT

BUNDLE = ROOT / "demo" / "bundle"
SIZE = 64
Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "ort").mkdir()
    (folder / ".cache").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>studio</title>" + " " * 1000)
    (folder / "studio.js").write_text("export const name = 'studio';\n")
    (folder / "ort" / "ort.wasm").write_bytes(bytes(range(256)) * 4)
    (folder / ".cache" / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    """One for all tests, so that the engine loads its graphs once."""
    shelf = Shelf([BUNDLE], EngineOptions(threads=1))
    yield shelf
    for pipeline in shelf._pipelines.values():
        pipeline.close()


class Kept(Shelf):
    """A shelf that a site does not close."""

    def __init__(self, shelf: Shelf) -> None:
        vars(self).update(vars(shelf))

    def close(self) -> None:
        pass


@pytest.fixture
def open_site(shelf: Shelf, page: Path) -> Iterator[Callable[..., TestClient]]:
    """Return `open_site(rules=Rules(), host="127.0.0.1:8765", **fields of Site)`: a client of a new site."""
    clients: list[TestClient] = []

    def make(host: str = "127.0.0.1:8765", **fields: Any) -> TestClient:
        site = Site(Kept(shelf), page_files(page), **{"rules": Rules(), **fields})
        scheme = "https" if site.rules.secure else "http"
        client = TestClient(
            application(site), f"{scheme}://{host}", raise_server_exceptions=False, follow_redirects=False
        )
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(open_site: Callable[..., TestClient]) -> TestClient:
    return open_site()


def events(text: str) -> Events:
    """Parse server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def encoded(image: Image.Image, **options: Any) -> str:
    """Return a picture's file as base64."""
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return base64.b64encode(content.getvalue()).decode()
