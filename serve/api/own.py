"""`/api/...`: everything that the runtime draws, in its own words, and the jobs that do it."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from amused_edge.runtime import Cancellation
from amused_edge.serve.drawing.draw import draw
from amused_edge.serve.drawing.jobs import Job, Tell
from amused_edge.serve.drawing.requests import DrawRequest, draw_request, parse
from amused_edge.serve.http.answers import EventStream, ProblemError, event, json_answer
from amused_edge.serve.shelf import Shelf
from amused_edge.serve.site import Site


async def bundles(request: Request) -> Response:
    """`GET /api/bundles`: what is served."""
    site: Site = request.app.state.site
    return json_answer(
        {
            "bundles": [entry.describe() for entry in site.shelf.entries.values()],
            "compute": site.compute,
            "secure": site.rules.secure,
            "version": version("amused-edge"),
            "device": None if site.bench is None else site.bench.plan(),
        }
    )


async def generate(request: Request) -> Response:
    """`POST /api/generate`: draw, and tell of it in server-sent events."""
    site: Site = request.app.state.site
    content = parse(await json_body(request))
    entry = site.entry(content.get("bundle"))
    asked = await asyncio.to_thread(draw_request, content, entry.bundle.manifest)
    job = site.enter(entry, drawing(site.shelf, entry.id, asked))
    return EventStream(_events(job), partial(site.lines.leave, job.id))


async def cancel(request: Request) -> Response:
    """`DELETE /api/jobs/{id}`: end a job, wherever it is."""
    site: Site = request.app.state.site
    if not site.lines.leave(request.path_params["id"]):
        raise ProblemError(404, "there is no such job; it may have ended", code="job_not_found")
    return Response(None, 204)


async def device_results(request: Request) -> Response:
    """`POST /api/device-results`: what a device measured."""
    site: Site = request.app.state.site
    if site.bench is None:
        raise ProblemError(404, "this server measures no devices; start `amused-edge bench device`", code="no_bench")
    content = parse(await json_body(request))
    return json_answer(await asyncio.to_thread(site.bench.receive, content))


def drawing(shelf: Shelf, id: str, asked: DrawRequest) -> "partial[None]":
    """Return the work of a request."""
    return partial(_draw, shelf, id, asked)


def _draw(shelf: Shelf, id: str, asked: DrawRequest, tell: Tell, cancellation: Cancellation) -> None:
    draw(shelf.pipeline(id), asked, tell, cancellation)


async def _events(job: Job) -> AsyncIterator[bytes]:
    async for each in job.events():
        yield event(each.name, each.content)


async def json_body(request: Request) -> bytes:
    """Return the body of a request that says it is JSON, which no form of another site can; raises `ProblemError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(415, "send JSON, with `Content-Type: application/json`", code="not_json")
    return await request.body()


Content = dict[str, Any]
