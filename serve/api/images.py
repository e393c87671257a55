"""`/v1/...`: pictures in the manner of OpenAI's images API, so that clients of that API draw here."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from amused_edge.runtime import GenerationOptions, Inpainting, TextToImage, Variation
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, quoted
from amused_edge.runtime.tasks.kinds import Task
from amused_edge.serve import limits
from amused_edge.serve.api.own import drawing, json_body
from amused_edge.serve.drawing.jobs import Event, Job
from amused_edge.serve.drawing.pictures import from_file, opaque, transparent_part
from amused_edge.serve.drawing.requests import SETTINGS, DrawRequest, check_amount, digits, parse
from amused_edge.serve.http.answers import EventStream, ProblemError, event, json_answer, unless_gone
from amused_edge.serve.shelf import Entry
from amused_edge.serve.site import Site

IGNORED = ("quality", "style", "moderation", "user", "output_compression", "input_fidelity")
"""Fields of that API that mean nothing here."""

KNOWN = ("model", "prompt", "n", "size", "stream", "partial_images", "response_format", "output_format", "background")
EXTENSIONS = ("negative_prompt", *SETTINGS)
"""Ours; the official client sends them by `extra_body`."""
OF_EDITS = ("strength", "fit", "feather")
MOST_PARTIAL = 3


async def models(request: Request) -> Response:
    """`GET /v1/models`."""
    site: Site = request.app.state.site
    return json_answer({"object": "list", "data": [_model(entry) for entry in site.shelf.entries.values()]})


async def model(request: Request) -> Response:
    """`GET /v1/models/{model}`."""
    site: Site = request.app.state.site
    return json_answer(_model(site.entry(request.path_params["model"], "model")))


def _model(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "object": "model", "created": int(entry.made), "owned_by": "amused-edge"}


async def generations(request: Request) -> Response:
    """`POST /v1/images/generations`."""
    content = {name: value for name, value in parse(await json_body(request)).items() if value is not None}
    site: Site = request.app.state.site
    entry = site.entry(content.get("model"), "model")
    _check_fields(content, (*KNOWN, *IGNORED, *EXTENSIONS))
    asked = _common(content, entry.bundle.manifest.geometry)
    task = TextToImage(asked.prompt, asked.negative, asked.count)
    return await _answer(request, entry, task, asked, "image_generation")


async def edits(request: Request) -> Response:
    """`POST /v1/images/edits`: a part drawn anew where the mask is transparent, a variation without a mask."""
    site: Site = request.app.state.site
    async with request.form(max_files=2, max_fields=64, max_part_size=64 * 1024) as form:
        content = _fields(form)
        entry = site.entry(content.get("model"), "model")
        _check_fields(content, (*KNOWN, *IGNORED, *EXTENSIONS, *OF_EDITS))
        asked = _common(content, entry.bundle.manifest.geometry)
        files = await _pictures(form)
    task = await asyncio.to_thread(_edit, files, content, asked)
    return await _answer(request, entry, task, asked, "image_edit")


@dataclass(frozen=True)
class _Asked:
    """The fields that both routes have."""

    prompt: str
    negative: str
    count: int
    options: GenerationOptions
    stream: bool
    partial_images: int


def _common(content: Mapping[str, Any], geometry: Geometry) -> _Asked:
    own = f"{geometry.image_width}x{geometry.image_height}"
    for name, taken in (
        ("size", ("auto", own)),
        ("response_format", ("b64_json",)),
        ("output_format", ("png",)),
        ("background", ("auto", "opaque")),
    ):
        if content.get(name, taken[0]) not in taken:
            raise _bad(name, f"{name} is {quoted(content[name])}; this model takes: {', '.join(taken)}")
    for name in ("prompt", "negative_prompt"):
        if not isinstance(content.get(name, ""), str):
            raise _bad(name, f"{name} is {quoted(content[name])}; it must be a string")
    if "prompt" not in content:
        raise _bad("prompt", "prompt is missing")
    if not isinstance(content.get("stream", False), bool):
        raise _bad("stream", f"stream is {quoted(content['stream'])}; it must be true or false")
    settings = {name: content[name] for name in SETTINGS if name in content}
    if isinstance(settings.get("seed"), str):
        settings["seed"] = digits(settings["seed"])
    return _Asked(
        content["prompt"],
        content.get("negative_prompt", ""),
        whole_number("n", content.get("n", 1), minimum=1, maximum=limits.PICTURES),
        GenerationOptions(**settings),
        content.get("stream", False),
        whole_number("partial_images", content.get("partial_images", 0), minimum=0, maximum=MOST_PARTIAL),
    )


def _check_fields(content: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in content:
        if name not in known:
            raise _bad(name, f"{quoted(name)} is no field of this request; it has: {', '.join(known)}")


def _bad(name: str, message: str) -> ProblemError:
    return ProblemError(400, message, code="invalid_value", param=name)


_WHOLE = ("n", "partial_images", "seed", "steps", "feather")
_REAL = ("guidance_scale", "temperature", "guidance_interval", "strength")
_PAIRS = ("temperature", "guidance_interval")
"""May be a list of two: a form has such a field twice, with or without `[]` behind its name."""


def _fields(form: FormData) -> dict[str, Any]:
    """Return a form's fields as JSON would have them; raises `ProblemError`."""
    given: dict[str, list[Any]] = {}
    for name, value in form.multi_items():
        given.setdefault(_plain(name), []).append(value)
    content: dict[str, Any] = {}
    for name, values in given.items():
        pictures = [value for value in values if isinstance(value, UploadFile)]
        if pictures and name not in ("image", "mask"):
            raise _bad(name, f"{quoted(name)} is no picture of this request; it has: image, mask")
        if len(values) > (2 if name in _PAIRS else 1):
            raise _bad(name, f"{name} is there {len(values)} times; this server takes one")
        if not pictures:
            numbers = [_field(name, value) for value in values]
            content[name] = numbers if len(numbers) > 1 else numbers[0]
    return content


async def _pictures(form: FormData) -> dict[str, bytes]:
    """Return the files of a form whose fields were checked."""
    return {_plain(name): await value.read() for name, value in form.multi_items() if isinstance(value, UploadFile)}


def _plain(name: str) -> str:
    """Return a field's name without what says that there may be several."""
    return name.removesuffix("[]")


def _field(name: str, value: Any) -> Any:
    """Return one value of a form as JSON would have it."""
    if name == "stream" and value in ("true", "false"):
        return value == "true"
    try:
        return int(value) if name in _WHOLE else float(value) if name in _REAL else value
    except ValueError as error:
        raise _bad(name, f"{name} is {quoted(value)}; it must be a number") from error


def _edit(files: Mapping[str, bytes], content: Mapping[str, Any], asked: _Asked) -> Task:
    """Return the task of an edit; raises `OptionsError`, `ProblemError`."""
    if "image" not in files:
        raise _bad("image", "image is missing; send one picture as a file")
    image = from_file("image", files["image"])
    mask = _mask(files, image)
    own = {name: content[name] for name in OF_EDITS if name in content}
    shared: dict[str, Any] = {"negative_prompts": asked.negative, "pictures_per_prompt": asked.count}
    if mask is not None:
        return Inpainting(asked.prompt, opaque(image), mask, **own, **shared)
    if "feather" in own:
        raise _bad("feather", "feather goes with a mask, or with an image that is transparent in part")
    return Variation(asked.prompt, opaque(image), **own, **shared)


def _mask(files: Mapping[str, bytes], image: Image.Image) -> Image.Image | None:
    """Return what is drawn anew: where the mask is transparent, or, without one, the picture."""
    if "mask" not in files:
        return transparent_part(image)
    mask = transparent_part(from_file("mask", files["mask"]))
    if mask is None:
        raise OptionsError("the mask is transparent nowhere; it must be where the picture is to be drawn anew")
    return mask


async def _answer(request: Request, entry: Entry, task: Task, asked: _Asked, kind: str) -> Response:
    site: Site = request.app.state.site
    check_amount(task, asked.options, entry.bundle.manifest)
    previews = asked.partial_images if asked.stream else 0
    job = site.enter(entry, drawing(site.shelf, entry.id, DrawRequest(task, asked.options, previews)))
    geometry = entry.bundle.manifest.geometry
    if asked.stream:
        return EventStream(_partial(job, kind, geometry), partial(site.lines.leave, job.id))
    try:
        pictures = await unless_gone(request, _finished(job))
    finally:
        site.lines.leave(job.id)
    data = [{"b64_json": picture["png"]} for picture in pictures]
    usage = _usage(geometry, len(data))
    return json_answer({"created": int(time.time()), "data": data, **_head(geometry), "usage": usage})


async def _finished(job: Job) -> list[Mapping[str, Any]]:
    """Return a job's pictures; raises what ended it otherwise."""
    pictures = []
    async for each in job.events():
        if each.name == "picture":
            pictures.append(each.content)
        if each.name == "error":
            raise _problem(each)
    return pictures


async def _partial(job: Job, kind: str, geometry: Geometry) -> AsyncIterator[bytes]:
    """Yield a job's events in that API's words: partial pictures, then the whole one."""
    shown = 0
    async for each in job.events():
        made = {**_head(geometry), "quality": "auto", "created_at": int(time.time())}
        if each.name == "step" and "preview" in each.content:
            name = f"{kind}.partial_image"
            picture = {"b64_json": each.content["preview"], "partial_image_index": shown}
            yield event(name, {"type": name, **made, **picture})
            shown += 1
        elif each.name == "picture":
            name, shown = f"{kind}.completed", 0
            yield event(name, {"type": name, **made, "b64_json": each.content["png"], "usage": _usage(geometry, 1)})
        elif each.name == "error":
            yield event("error", {"type": "error", **_problem(each).content()})


def _problem(ended: Event) -> ProblemError:
    """Return what a job ended with; its words are those that the job told."""
    asked_wrong = isinstance(ended.error, AmusedEdgeError) and isinstance(ended.error, ValueError)
    status = 503 if ended.error is None else 400 if asked_wrong else 500  # 503: cancelled from outside
    return ProblemError(status, ended.content["message"], code=ended.content["type"])


def _head(geometry: Geometry) -> dict[str, Any]:
    size = f"{geometry.image_width}x{geometry.image_height}"
    return {"background": "opaque", "output_format": "png", "size": size}


def _usage(geometry: Geometry, pictures: int) -> dict[str, Any]:
    """Return what was read and drawn: ids of the text encoder, tokens of the pictures."""
    read, drawn = geometry.text_length, geometry.grid_height * geometry.grid_width * pictures
    details = {"text_tokens": read, "image_tokens": 0}
    return {"input_tokens": read, "output_tokens": drawn, "total_tokens": read + drawn, "input_tokens_details": details}
