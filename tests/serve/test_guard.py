"""Each line of the threat list in SECURITY.md that is about who may ask, and what a request may weigh."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from amused_edge.runtime.errors import BundleError
from amused_edge.serve import limits
from amused_edge.serve.http import guard
from amused_edge.serve.http.answers import ProblemError
from amused_edge.serve.http.guard import Body, Rules
from tests.serve.conftest import encoded
from tests.support.paths import ROOT

TOKEN = "a-token-of-22-letters"
LAN = Rules(lan=True, token=TOKEN, cookie="amused-edge-8765")
LAN_HOST = "192.168.1.20:8765"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("host", "local", "lan"),
    [
        *[("127.0.0.1:8765", True, True), ("localhost", True, True), ("LOCALHOST:1", True, True)],
        *[("[::1]:8765", True, True), ("127.8.8.8", True, True), ("studio.test:8765", True, True)],
        *[("192.168.1.20:8765", False, True), ("[fe80::1]", False, True)],
        *[("evil.example:8765", False, False), ("localhost.evil.example", False, False), ("", False, False)],
        *[("127.0.0.1.evil.example", False, False), ("[::1", False, False), ("evil.example@localhost", True, True)],
    ],
)
def test_a_name_that_a_stranger_made_lead_here(host: str, local: bool, lan: bool) -> None:
    """DNS rebinding: the stranger's page is then of the server's own origin, as far as the browser knows."""
    names = ["Studio.test"]
    assert Rules(names).is_host(host) == local
    assert Rules(names, lan=True).is_host(host) == lan


def test_all_routes_ask_for_the_host(client: TestClient) -> None:
    for path in ("/", "/api/bundles", "/bundles/bundle/manifest.json", "/v1/models", "/openapi.json", "/nothing"):
        answer = client.get(path, headers={"host": "evil.example:8765"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_host")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8765"},
        {"origin": "http://127.0.0.1:8765.evil.example"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_pages_of_other_sites(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/api/generate"), ("GET", "/api/bundles"), ("DELETE", "/api/jobs/x")):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")


def test_our_own_pages_and_programs(client: TestClient) -> None:
    own = {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    for headers in (own, link, {}):
        assert client.get("/", headers=headers).status_code == 200


def test_nothing_is_shared_with_other_origins(client: TestClient) -> None:
    """No CORS, also when asked; threads for our own page; no script but ours."""
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for answer in (client.options("/api/generate", headers=asked), client.get("/"), client.get("/nothing")):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe-inline" not in str(policy)
        assert not any("http" in sources for sources in policy.values())  # no address but the server's


@pytest.fixture
def lan(open_site: Callable[..., TestClient]) -> TestClient:
    return open_site(LAN_HOST, rules=LAN)


def test_on_the_lan_nothing_without_the_token(lan: TestClient) -> None:
    for path in ("/", "/api/bundles", "/bundles/bundle/manifest.json", "/v1/models", "/openapi.json", "/nothing"):
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {TOKEN}"}):
            answer = lan.get(path, headers=headers)
            assert answer.status_code == 401
            assert TOKEN not in answer.text + str(answer.headers)
        assert lan.get(f"{path}?token={TOKEN[:-1]}").status_code == 401
        assert lan.get(f"{path}?token=%FF").status_code == 401
    assert lan.post(f"/api/generate?token={TOKEN}", json={"prompts": "x"}).status_code == 401


def test_the_token_becomes_a_cookie(lan: TestClient) -> None:
    answer = lan.get(f"/?a=b%20c&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?a=b+c")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert lan.get("/").status_code == 200
    assert lan.get("/api/bundles", cookies={}).status_code == 200


def test_the_token_as_a_key_of_the_api(lan: TestClient) -> None:
    assert lan.get("/v1/models", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_cookie_of_an_encrypted_server_is_never_sent_in_the_clear(open_site: Callable[..., TestClient]) -> None:
    rules = Rules(lan=True, token=TOKEN, secure=True)
    answer = open_site(LAN_HOST, rules=rules).get(f"/?token={TOKEN}")
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/\\evil.example/", "/%5cevil.example/", "/%2fevil.example/x%0d%0ay"]
)
def test_the_token_leads_nowhere_else(lan: TestClient, path: str) -> None:
    answer = lan.get(f"http://{LAN_HOST}{path}?token={TOKEN}")
    assert answer.status_code == 303
    place = answer.headers["location"]
    assert place.startswith("/")
    assert place[1:2] not in ("/", "\\")
    assert "\r" not in place


def test_large_bodies_are_not_read(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY", 1000)

    def parts() -> Any:
        for _ in range(20):
            yield b"x" * 100

    for body in (b"x" * 1001, parts()):  # the second says nothing of its length
        answer = client.post("/api/generate", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    answer = client.post("/v1/images/edits", data={"prompt": "x"}, files={"image": b"x" * 2000})
    assert answer.status_code == 413


def test_slow_bodies_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then must not keep a connection busy."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)

    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        body = Body({"type": "http", "headers": []}, drip)

        async def all_of_it() -> None:
            for _ in range(100):
                await body.receive()

        with pytest.raises(ProblemError, match="too long") as caught:
            await all_of_it()
        assert caught.value.status == 408

    asyncio.run(read())


def test_uploads_are_few_and_their_fields_small(client: TestClient) -> None:
    files = [("image", encoded_file()), ("mask", encoded_file()), ("image", encoded_file())]
    assert client.post("/v1/images/edits", data={"prompt": "x"}, files=files).status_code == 400
    answer = client.post("/v1/images/edits", data={"prompt": "x" * 70_000}, files={"image": encoded_file()})
    assert answer.status_code == 400


def encoded_file() -> tuple[str, bytes]:
    import base64

    from PIL import Image

    return "x.png", base64.b64decode(encoded(Image.new("RGB", (8, 8))))


def test_a_full_line(open_site: Callable[..., TestClient]) -> None:
    client = open_site(places=0)
    for path, body in (("/api/generate", {"prompts": "x"}), ("/v1/images/generations", {"prompt": "x"})):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
        assert answer.headers["retry-after"] == "5"


def test_errors_tell_nothing_of_the_machine(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise KeyError("/home/someone/secret")

    def damaged(*args: object) -> None:
        raise BundleError("/home/someone/secret is damaged; copy it again")

    for fault in (fail, damaged):
        monkeypatch.setattr("amused_edge.serve.api.own.draw_request", fault)
        answer = client.post("/api/generate", json={"prompts": "x"})
        assert answer.status_code == 500
        assert answer.headers["content-security-policy"] == guard.POLICY
        assert "someone" not in answer.text
    described = client.get("/api/bundles").text + client.get("/v1/models").text
    assert str(ROOT) not in described


def test_the_name_that_it_listens_at_is_its_own() -> None:
    """`--host mybox.local` printed an address that was then refused."""
    from amused_edge.cli.serve import Place, _rules

    place = Place("mybox.local", 8765, False, None, None, ())
    assert _rules(place, 8765, True, False).is_host("mybox.local:8765")
    everywhere = Place("0.0.0.0", 8765, False, None, None, ())
    assert tuple(_rules(everywhere, 8765, True, False).names) == ()
