"""What goes back to a client: JSON, errors in one shape, streams of events that end when the client leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amused_edge.runtime.errors import AmusedEdgeError, one_line
from amused_edge.serve.errors import told_of

T = TypeVar("T")


class ProblemError(Exception):
    """A request that cannot be served.

    Parameters
    ----------
    status
        Of HTTP.
    message
        One sentence: what was wrong and what to do.
    code
        A word for programs.
    param
        The field that is to blame.
    headers
        Of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(one_line(message))
        self.status, self.code, self.param = status, code, param
        self.headers = dict(headers or {})

    def content(self) -> dict[str, Any]:
        """Return the error in the shape of OpenAI's API, which our own takes too."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class ClientGoneError(Exception):
    """The client left before its answer was ready."""


def problem_of(error: AmusedEdgeError | ProblemError) -> ProblemError:
    """Return what a client is told of an error: bad values are its own, the rest is ours, and may name our files."""
    if isinstance(error, ProblemError):
        return error
    code = type(error).__name__
    if isinstance(error, ValueError):  # OptionsError and StateError are such
        return ProblemError(400, str(error), code=code)
    return ProblemError(500, told_of(error), code=code)


def as_json(content: Any) -> bytes:
    """Return JSON, in ASCII: also of texts that UTF-8 cannot hold."""
    return json.dumps(content, allow_nan=False).encode("ascii")


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that nobody keeps."""
    return Response(as_json(content), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def problem_answer(problem: ProblemError) -> Response:
    """Return the answer to a request that cannot be served."""
    return json_answer(problem.content(), problem.status, problem.headers)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work; cancel it and raise `ClientGoneError` when the client leaves. The body must have been read."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        await _end(working, gone)


class EventStream(Response):
    """Server-sent events.

    Parameters
    ----------
    events
        Each as it goes over the wire; see `event`.
    leave
        Called at the end, also when the client leaves before.
    """

    def __init__(self, events: AsyncIterator[bytes], leave: Callable[[], object]) -> None:
        super().__init__(None, 200, {"cache-control": "no-store"}, "text/event-stream")
        del self.headers["content-length"]
        self._events, self._leave = events, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more, or nobody listens."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            self._leave()
            await _end(sending, gone)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def event(name: str, content: Any) -> bytes:
    """Return an event as it goes over the wire."""
    return b"event: " + name.encode() + b"\ndata: " + as_json(content) + b"\n\n"


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel what is not done, and wait for it to be over."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # was told where it belongs, or nobody is there to be told
