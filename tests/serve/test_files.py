"""Files over HTTP: the page's and those that manifests list, whole, in parts, compressed, or as the client has them."""

import gzip
import hashlib
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from amused_edge.runtime import OptionsError
from amused_edge.serve.http.page import page_files
from amused_edge.serve.shelf import Shelf
from tests.serve.conftest import BUNDLE

PLAIN = {"accept-encoding": "identity"}
DENOISER = "/bundles/bundle/denoiser.onnx"


def listed(shelf: Shelf) -> list[str]:
    return [file.path for file in shelf.entries["bundle"].bundle.manifest.all_files()]


def test_every_file_of_the_manifest_is_served_as_it_is(client: TestClient, shelf: Shelf) -> None:
    for path in ["manifest.json", *listed(shelf)]:
        answer = client.get(f"/bundles/bundle/{path}", headers=PLAIN)
        content = (BUNDLE / path).read_bytes()
        assert answer.content == content
        assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["cache-control"] == "private, no-cache"


def test_what_the_manifest_does_not_list_is_not_there(bundle_path: Path) -> None:
    from amused_edge.serve.app import application
    from amused_edge.serve.site import Site

    (bundle_path / "secret.txt").write_text("secret")
    with TestClient(application(Site(Shelf([bundle_path]), {})), "http://localhost") as client:
        assert client.get("/bundles/bundle/manifest.json").status_code == 200
        for path in (
            *("secret.txt", "../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "", "/"),
            *("/etc/passwd", "%2fetc%2fpasswd", "manifest.json%00", "MANIFEST.JSON", "manifest.json/"),
        ):
            answer = client.get(f"/bundles/bundle/{path}")
            assert answer.status_code == 404, path
            assert b"secret" not in answer.content
        assert client.get("/bundles/other/manifest.json").status_code == 404


def test_a_bundle_that_changes_while_it_is_served(bundle_path: Path) -> None:
    from amused_edge.serve.app import application
    from amused_edge.serve.site import Site

    with TestClient(application(Site(Shelf([bundle_path]), {})), "http://localhost") as client:
        (bundle_path / "denoiser.onnx").unlink()
        answer = client.get(DENOISER)
        assert answer.status_code == 404
        assert "not there any more" in answer.json()["error"]["message"]


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


@pytest.mark.parametrize(("asked", "first", "last"), [("0-9", 0, 9), ("100-", 100, None), ("-10", -10, None)])
def test_parts(client: TestClient, asked: str, first: int, last: int | None) -> None:
    whole = (BUNDLE / "denoiser.onnx").read_bytes()
    answer = client.get(DENOISER, headers={"range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == whole[first : None if last is None else last + 1]
    assert answer.headers["content-range"].endswith(f"/{len(whole)}")


def test_parts_of_what_compresses_are_not_compressed(client: TestClient) -> None:
    answer = client.get("/bundles/bundle/tokenizer.json", headers={"range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (206, (BUNDLE / "tokenizer.json").read_bytes()[5:10])
    assert "content-encoding" not in answer.headers


def test_no_part_of_another_file(client: TestClient) -> None:
    """A download that was broken off goes on only if the file is still the same."""
    tag = client.head(DENOISER).headers["etag"]
    same = {"range": "bytes=5-", "if-range": tag}
    assert client.get(DENOISER, headers=same).status_code == 206
    assert client.get(DENOISER, headers={**same, "if-range": '"other"'}).status_code == 200
    size = (BUNDLE / "denoiser.onnx").stat().st_size
    assert client.get(DENOISER, headers={"range": f"bytes={size}-"}).status_code == 416


def test_what_the_client_has_is_not_sent(client: TestClient) -> None:
    for headers in (PLAIN, {"accept-encoding": "gzip"}):
        for path in ("/", DENOISER, "/bundles/bundle/manifest.json"):
            tag = client.get(path, headers=headers).headers["etag"]
            for told in (tag, f'"x", W/{tag}', "*"):
                answer = client.get(path, headers={**headers, "if-none-match": told})
                assert (answer.status_code, answer.content) == (304, b"")
                assert answer.headers["etag"] == tag
            assert client.get(path, headers={**headers, "if-none-match": '"x"'}).status_code == 200


def test_what_compresses_is_compressed_for_who_can_read_it(client: TestClient) -> None:
    plain = client.get("/", headers=PLAIN)
    for accepted in ("gzip", "br, GZIP;q=0.5", "*"):
        with client.stream("GET", "/", headers={"accept-encoding": accepted}) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["etag"] != plain.headers["etag"]  # the bytes are others
        assert gzip.decompress(raw) == plain.content
    for accepted in ("identity", "br", "gzip;q=0", "gzip; q=0.0"):
        assert "content-encoding" not in client.get("/", headers={"accept-encoding": accepted}).headers
    assert "content-encoding" not in client.get(DENOISER, headers={"accept-encoding": "gzip"}).headers
    head = client.head("/", headers={"accept-encoding": "gzip"})
    assert (head.content, head.headers["content-encoding"]) == (b"", "gzip")


def test_types_are_those_that_browsers_need(client: TestClient) -> None:
    """WebAssembly is compiled while it comes only by its own name, and modules run only as JavaScript."""
    found = {path: client.get(path).headers["content-type"] for path in ("/", "/studio.js", "/ort/ort.wasm")}
    assert list(found.values()) == ["text/html; charset=utf-8", "text/javascript; charset=utf-8", "application/wasm"]


def test_of_the_page_only_what_it_shows(client: TestClient) -> None:
    for path in ("/.cache/secret.txt", "/__init__.py", "/../app.py", "/ort", "/ort/", "/nothing.js"):
        assert client.get(path).status_code == 404


def test_a_page_that_was_not_built(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"the page was not built.*make studio.*--api-only"):
        page_files(tmp_path)


def test_names_of_bundles_stand_in_addresses_as_they_are(tmp_path: Path) -> None:
    names = ["w8", "other/w8", "mit Umlaut ä", "..."]
    for name in names:
        shutil.copytree(BUNDLE, tmp_path / name)
    assert list(Shelf([tmp_path / name for name in names]).entries) == ["w8", "w8-2", "mit-Umlaut--", "bundle"]
