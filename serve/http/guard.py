"""Who may ask: the right host, no other site's page, whoever has the token; and headers that keep a page by itself.

What a stranger could do to a server on one's own machine, and what stands against it, is told in SECURITY.md.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amused_edge.serve import limits
from amused_edge.serve.http.answers import ProblemError, problem_answer

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self' blob: data:; img-src 'self' blob: data:; style-src 'self'; font-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "cross-origin-opener-policy": "same-origin",  # with the next one: threads in WebAssembly
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",  # the token stands in the address
    "x-content-type-options": "nosniff",
}
TOKEN = "token"


@dataclass(frozen=True)
class Rules:
    """Who may ask.

    Attributes
    ----------
    names
        Host names that the server is called by, beside `localhost`.
    lan
        Whether any numeric address is the server's, and not only those of this machine by itself.
    token
        What a client must show; "" where nobody else can reach the server.
    secure
        Whether connections are encrypted.
    cookie
        Name of the token's cookie: browsers do not tell ports apart.
    """

    names: Sequence[str] = ()
    lan: bool = False
    token: str = ""
    secure: bool = False
    cookie: str = "amused-edge"

    def is_host(self, host: str) -> bool:
        """Return whether a `Host` is this server. A name that a stranger made lead here is not: DNS rebinding."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name == "localhost" or name in {each.lower() for each in self.names}:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback or self.lan
        except ValueError:
            return False


class Guard:
    """Asks every request before the application sees it."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        try:
            answer = self._refusal(request) or self._welcome(request)
        except ProblemError as problem:
            answer = problem_answer(problem)
        if answer is not None:
            await answer(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, Body(scope, receive).receive, send_with_headers)
        except ProblemError as problem:  # of the body, where nobody else made an answer of it
            await problem_answer(problem)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Raise `ProblemError` where a request does not come from this server's own pages or from a program."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self._rules.is_host(host):
            raise ProblemError(
                403,
                "this server is not called by that name; use the address that it printed, or start it with "
                "--allow-host NAME",
                code="wrong_host",
            )
        own = f"{'https' if self._rules.secure else 'http'}://{host}"
        if origin is not None and origin.lower() != own.lower():
            raise ProblemError(403, "other sites' pages may not use this server", code="wrong_origin")
        if (
            request.headers.get("sec-fetch-site") == "cross-site"
            and request.headers.get("sec-fetch-mode") != "navigate"
        ):
            raise ProblemError(403, "other sites' pages may not use this server", code="wrong_origin")
        return None

    def _welcome(self, request: Request) -> Response | None:
        """Return None for whoever has the token; a cookie for it where it stood in the address."""
        token = self._rules.token
        if not token:
            return None
        shown = request.query_params.get(TOKEN)
        if shown is not None and request.method == "GET" and _same(shown, token):
            return self._with_cookie(request)
        if any(_same(each, token) for each in self._shown(request.headers)):
            return None
        raise ProblemError(
            401,
            "this server wants its token: open the whole address that its terminal shows, or send the token as "
            "`Authorization: Bearer TOKEN`",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )

    def _with_cookie(self, request: Request) -> Response:
        """Send a browser to the same address without the token, which so stays out of its history and its screen."""
        rest = urlencode([(name, value) for name, value in parse_qsl(request.url.query) if name != TOKEN])
        path = "/" + request.scope["path"].lstrip("/\\")  # `//other.site` would lead elsewhere
        answer = Response(
            None, 303, {"location": quote(path) + (f"?{rest}" if rest else ""), "cache-control": "no-store"}
        )
        answer.set_cookie(
            self._rules.cookie, self._rules.token, httponly=True, samesite="lax", secure=self._rules.secure
        )
        return answer

    def _shown(self, headers: Headers) -> list[str]:
        shown = [cookie_parser(each).get(self._rules.cookie, "") for each in headers.getlist("cookie")]
        kind, _, value = headers.get("authorization", "").partition(" ")
        return [*shown, value.strip()] if kind.lower() == "bearer" else shown


class Body:
    """A request's body on its way in: not more than is allowed, and not for longer."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._left = limits.BODY
        self._whole = False
        self._deadline: float | None = None
        announced = Headers(scope=scope).get("content-length", "0")
        self._too_large = not announced.isdecimal() or int(announced) > limits.BODY

    async def receive(self) -> Message:
        """Return the next part; raises `ProblemError`. After the last one it waits for the client to leave."""
        if self._too_large:
            raise _too_large()
        if self._whole:
            return await self._receive()
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + limits.BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise ProblemError(408, "the request's body took too long to come", code="timeout") from error
        self._whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large()
        return message


def _too_large() -> ProblemError:
    return ProblemError(413, f"the request's body is too large; send at most {limits.BODY} bytes", code="too_large")


def _same(shown: str, token: str) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())
