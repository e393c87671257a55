"""The application: routes, errors, and who may ask."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from amused_edge.runtime.errors import AmusedEdgeError
from amused_edge.serve.api import images as images_api
from amused_edge.serve.api import own as own_api
from amused_edge.serve.api.openapi import description
from amused_edge.serve.api.page import api_page
from amused_edge.serve.http.answers import ClientGoneError, ProblemError, json_answer, problem_answer, problem_of
from amused_edge.serve.http.files import file_answer
from amused_edge.serve.http.guard import Guard
from amused_edge.serve.http.page import INDEX
from amused_edge.serve.site import Site

_TALKATIVE = ("python_multipart", "uvicorn.error")
"""They warn on the terminal of each request that is none; whoever sent it is answered, and that is all."""


def application(site: Site) -> ASGIApp:
    """Return the ASGI application of a site; its lifespan closes the pipelines."""
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.ERROR)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await site.lines.close()
        site.shelf.close()

    routes = [
        Route("/api/bundles", own_api.bundles),
        Route("/api/generate", own_api.generate, methods=["POST"]),
        Route("/api/jobs/{id}", own_api.cancel, methods=["DELETE"]),
        Route("/api/device-results", own_api.device_results, methods=["POST"]),
        Route("/v1/models", images_api.models),
        Route("/v1/models/{model}", images_api.model),
        Route("/v1/images/generations", images_api.generations, methods=["POST"]),
        Route("/v1/images/edits", images_api.edits, methods=["POST"]),
        Route("/openapi.json", _openapi),
        Route("/api", _api_page),
        Route("/bundles/{id}/{path:path}", _bundle_file),
        Route("/{path:path}", _page_file),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            ProblemError: _told,
            AmusedEdgeError: _told,
            HTTPException: _refused,
            ClientGoneError: _unheard,
            500: _failed,
        },
        lifespan=lifespan,
    )
    app.state.site = site
    return Guard(app, site.rules)  # around all, also around answers to faults of ours


async def _openapi(request: Request) -> Response:
    return json_answer(description(request.app.state.site))


async def _api_page(request: Request) -> Response:
    return HTMLResponse(api_page(request.app.state.site))


async def _bundle_file(request: Request) -> Response:
    """A file of a bundle, if its manifest lists it."""
    entry = request.app.state.site.entry(request.path_params["id"])
    file = entry.file(request.path_params["path"])
    if file is None:
        raise ProblemError(404, "the bundle's manifest lists no such file", code="not_found")
    return await file_answer(request, file)


async def _page_file(request: Request) -> Response:
    site: Site = request.app.state.site
    path = request.path_params["path"]
    file = site.page.get(path or INDEX)
    if file is None:
        _check_method(request)
        raise ProblemError(404, "there is no such page; the API is described at /openapi.json", code="not_found")
    return await file_answer(request, file)


def _check_method(request: Request) -> None:
    """Raise 405 where the address is that of a route with other methods: the page's route takes what these leave."""
    for route in request.app.routes:
        if isinstance(route, Route) and route.methods and route.matches(request.scope)[0] is Match.PARTIAL:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(route.methods))})


async def _told(request: Request, error: Exception) -> Response:
    if isinstance(error, AmusedEdgeError | ProblemError):
        return problem_answer(problem_of(error))
    raise error


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_answer(ProblemError(error.status_code, error.detail, code="refused", headers=error.headers))


async def _unheard(request: Request, error: Exception) -> Response:
    return Response(None, 499)


async def _failed(request: Request, error: Exception) -> Response:
    return problem_answer(ProblemError(500, "internal error; the server's terminal says more", code="internal"))
