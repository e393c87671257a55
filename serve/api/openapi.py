"""The API described for programs: OpenAPI 3.1. It says what the server takes and gives, no more and no less."""

from importlib.metadata import version
from typing import Any

from amused_edge.runtime.pictures.masks import COVERAGES
from amused_edge.runtime.pictures.sources import FITS
from amused_edge.runtime.sampling.options import ORDERS
from amused_edge.runtime.sampling.schedule import GUIDANCE_RAMPS, SCHEDULES
from amused_edge.serve import limits
from amused_edge.serve.api.images import IGNORED, MOST_PARTIAL, OF_EDITS
from amused_edge.serve.drawing.requests import LIKE, OWN, SETTINGS
from amused_edge.serve.site import Site

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "maxLength": limits.PROMPT}
_PICTURE: Schema = {"type": "string", "contentEncoding": "base64", "description": "A picture file, as base64."}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_SCALE: Schema = {"type": "number", "minimum": 0, "maximum": 1e6}
_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": limits.PICTURES}
_MARGIN: Schema = {"type": "integer", "minimum": 0, "maximum": 2**14}
_MICRO: Schema = {"type": "number", "minimum": -1e9, "maximum": 1e9}

_SAMPLER: dict[str, Schema] = {
    "seed": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
            {"type": "string", "pattern": "^[0-9]{1,20}$"},
        ]
    },
    "steps": {"type": "integer", "minimum": 1, "maximum": limits.STEPS},
    "guidance_scale": _SCALE,
    "temperature": {"anyOf": [_SCALE, {"type": "array", "items": _SCALE, "minItems": 2, "maxItems": 2}]},
    "schedule": {"enum": list(SCHEDULES)},
    "guidance_ramp": {"enum": list(GUIDANCE_RAMPS)},
    "guidance_interval": {
        "type": "array",
        "items": _SHARE,
        "minItems": 2,
        "maxItems": 2,
        "description": "Shares of the run between which guidance is on; they rise.",
    },
    "order": {"enum": list(ORDERS)},
    "entropy_bound": {**_SCALE, "description": "Nats; 0, which is off, where it is left out."},
    "row_cache": {
        "type": "integer",
        "minimum": 0,
        "maximum": 10_000,
        "description": "Steps from one whole computation to the next; 0, which is off, where it is left out.",
    },
}

_DRAWN: dict[str, Schema] = {
    "bundle": {"type": "string", "description": "As in `/api/bundles`; the first one where it is left out."},
    "prompts": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": limits.PICTURES}]},
    "negative_prompts": {
        "anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": limits.PICTURES}]
    },
    "pictures_per_prompt": _COUNT,
    "first_picture": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
    "micro_conditioning": {
        "type": "object",
        "properties": {"crop_top": _MICRO, "crop_left": _MICRO, "aesthetic_score": _MICRO},
        "additionalProperties": False,
    },
    "image": _PICTURE,
    "mask": {**_PICTURE, "description": "Bright where the picture is drawn anew; of its size."},
    "strength": _SHARE,
    "fit": {"enum": list(FITS)},
    "coverage": {"enum": list(COVERAGES)},
    "paste_back": {"type": "boolean"},
    "feather": {"type": "integer", "minimum": 0, "maximum": 256},
    **dict.fromkeys(("left", "top", "right", "bottom"), _MARGIN),
    "like": {"type": "object", "description": "The parameters of a picture that was drawn before."},
    "previews": {
        "anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": limits.STEPS}],
        "description": "How many pictures of what is drawn so far come with the steps; true: with every step.",
    },
    "heatmap": {"type": "boolean"},
    **_SAMPLER,
}

_COMMON = ("bundle", "prompts", "negative_prompts", "pictures_per_prompt", "first_picture", "micro_conditioning")


def description(site: Site) -> Schema:
    """Return the description of a server's API."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "amused-edge serve",
            "version": version("amused-edge"),
            "description": "For the machines of developers and for tests; not a public server. Values that do not go "
            "together, and fields that the server does not know, are refused with 400.",
        },
        "servers": [{"url": "/"}],
        **({"security": [{"token": []}, {"cookie": []}]} if site.rules.token else {}),
        "paths": _paths(),
        "components": {
            "schemas": _schemas(list(site.shelf.entries)),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": site.rules.cookie},
            },
        },
    }


def _paths() -> Schema:
    return {**_own_paths(), **_images_paths()}


def _own_paths() -> Schema:
    return {
        "/api/bundles": {"get": _operation("bundles", "What is served.", _json("Bundles"))},
        "/api/generate": {
            "post": _operation(
                "generate",
                "Draw. Events: queued (job, position), step (picture, pictures, step, steps, preview), picture "
                "(picture, pictures, png, parameters, tokens, heatmap), and at last done, or error (type, message).",
                _events(),
                body={"application/json": {"schema": {"oneOf": [*map(_ref, OWN), _ref("like")]}}},
                errors=(400, 404, 413, 415, 429),
            )
        },
        "/api/jobs/{id}": {
            "delete": _operation("cancel", "End a job.", None, parameters=["id"], errors=(404,)),
        },
        "/api/device-results": {
            "post": _operation(
                "deviceResults",
                "Keep what a device measured; only while `amused-edge bench device` runs.",
                {"description": "It is kept.", "content": {"application/json": {"schema": {"type": "object"}}}},
                body={"application/json": {"schema": {"type": "object"}}},
                errors=(400, 404, 413, 415),
            )
        },
    }


def _images_paths() -> Schema:
    return {
        "/v1/models": {"get": _operation("models", "The bundles, as OpenAI's API lists models.", _json("Models"))},
        "/v1/models/{model}": {
            "get": _operation("model", "One of them.", _json("Model"), parameters=["model"], errors=(404,))
        },
        "/v1/images/generations": {
            "post": _operation(
                "generations",
                "Draw, in the manner of OpenAI's API.",
                _json("Images") | {"description": "Pictures; events of partial and whole ones where stream is true."},
                body={"application/json": {"schema": _ref("generations")}},
                errors=(400, 404, 413, 415, 429),
                streams=True,
            )
        },
        "/v1/images/edits": {
            "post": _operation(
                "edits",
                "Draw anew where the mask (or the picture, without one) is transparent; a variation where nothing is.",
                _json("Images") | {"description": "As of generations."},
                body={"multipart/form-data": {"schema": _ref("edits")}},
                errors=(400, 404, 413, 429),
                streams=True,
            )
        },
    }


def _images_fields(names: list[str]) -> dict[str, Schema]:
    """Return the fields of both routes in the manner of OpenAI's API."""
    return {
        "model": {"enum": names, "description": "A bundle; the first one where it is left out."},
        "prompt": _TEXT,
        "negative_prompt": _TEXT,
        "n": _COUNT,
        "size": {"type": "string", "description": "auto, or the size that the bundle draws."},
        "stream": {"type": "boolean"},
        "partial_images": {"type": "integer", "minimum": 0, "maximum": MOST_PARTIAL},
        "response_format": {"enum": ["b64_json"]},
        "output_format": {"enum": ["png"]},
        "background": {"enum": ["auto", "opaque"]},
        **{name: {"description": "Ignored."} for name in IGNORED},
        **{name: _SAMPLER[name] for name in SETTINGS},
    }


def _schemas(names: list[str]) -> Schema:
    common = _images_fields(names)
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    of_edits = {name: _DRAWN[name] for name in OF_EDITS}
    return {
        **{kind: _object(_of_kind(kind), ("prompts", *_needed(kind))) for kind in OWN},
        "like": _object(
            {name: _DRAWN[name] for name in ("bundle", *LIKE, *SETTINGS, "previews", "heatmap")}, ("like",)
        ),
        "generations": _object(common, ("prompt",)),
        "edits": _object({**common, **of_edits, "image": file, "mask": file}, ("prompt", "image")),
        "Bundles": _answer("bundles", "compute", "secure", "version", "device"),
        "Models": _answer("object", "data"),
        "Model": _answer("id", "object", "created", "owned_by"),
        "Images": _answer("created", "data", "background", "output_format", "size", "usage"),
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": "string"},
                    },
                }
            },
        },
    }


def _of_kind(kind: str) -> dict[str, Schema]:
    names = (*_COMMON, *OWN[kind], *SETTINGS, "previews", "heatmap")
    return {"task": {"const": kind}, **{name: _DRAWN[name] for name in names}}


def _needed(kind: str) -> tuple[str, ...]:
    needed = tuple(name for name in ("image", "mask") if name in OWN[kind])
    return needed if kind == "text_to_image" else ("task", *needed)


def _object(properties: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    """Return an object without other fields; null is as if a field were not there."""
    fields = {
        name: each if name in required else {"anyOf": [each, {"type": "null"}]} for name, each in properties.items()
    }
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def _answer(*names: str) -> Schema:
    return {"type": "object", "required": list(names)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> Schema:
    return {"description": "As asked.", "content": {"application/json": {"schema": _ref(name)}}}


def _events() -> Schema:
    return {"description": "Events.", "content": {"text/event-stream": {}}}


def _operation(
    name: str,
    summary: str,
    answer: Schema | None,
    *,
    body: Schema | None = None,
    parameters: list[str] | None = None,
    errors: tuple[int, ...] = (),
    streams: bool = False,
) -> Schema:
    if streams and answer is not None:
        answer["content"] |= _events()["content"]
    told = {"description": "What was wrong.", "content": {"application/json": {"schema": _ref("Error")}}}
    answers = {"204": {"description": "It is ended."}} if answer is None else {"200": answer}
    return {
        "operationId": name,
        "summary": summary,
        **({"requestBody": {"required": True, "content": body}} if body else {}),
        **(
            {
                "parameters": [
                    {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in parameters
                ]
            }
            if parameters
            else {}
        ),
        "responses": {**answers, **{str(status): told for status in (401, 403, *errors)}},
    }
