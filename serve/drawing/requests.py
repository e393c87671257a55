"""What `/api/generate` is asked to draw: JSON with the runtime's own names becomes a task and the loop's options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from PIL import Image

from amused_edge.runtime import GenerationOptions, Inpainting, PictureParameters, TextToImage, Variation, outpainting
from amused_edge.runtime.bundle.manifest import Manifest, MicroConditioning
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.tasks.kinds import KINDS, Task
from amused_edge.runtime.tasks.parameters import rebuild_task
from amused_edge.serve import limits
from amused_edge.serve.drawing.pictures import from_base64

_MARGINS = ("left", "top", "right", "bottom")
_COMMON = ("prompts", "negative_prompts", "pictures_per_prompt", "first_picture", "micro_conditioning")
OWN: dict[str, tuple[str, ...]] = {
    "text_to_image": (),
    "variation": ("image", "strength", "fit"),
    "inpainting": ("image", "mask", "strength", "fit", "coverage", "paste_back", "feather"),
    "outpainting": ("image", *_MARGINS, "strength", "feather"),
}
"""Kind of task -> fields that it takes beside the common ones."""

SETTINGS = tuple(field.name for field in fields(GenerationOptions))
_SHOWN = ("previews", "heatmap")
LIKE = ("like", "image", "mask")
FIELDS = tuple(
    dict.fromkeys(["bundle", "task", *_COMMON, *(name for own in OWN.values() for name in own), *SETTINGS, *_SHOWN])
)
"""Of a request; `like` may stand in place of the task's."""


@dataclass(frozen=True)
class DrawRequest:
    """What is drawn.

    Attributes
    ----------
    previews
        How many pictures of what is drawn so far come with the steps, evenly; each costs a call of the image decoder.
    heatmap
        Whether finished pictures come with how sure the model was.
    """

    task: Task
    options: GenerationOptions
    previews: int = 0
    heatmap: bool = False


def parse(text: bytes) -> dict[str, Any]:
    """Return the object that a body holds; raises `OptionsError`."""
    try:
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # also what is not UTF-8, and numbers of thousands of digits
        raise OptionsError(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise OptionsError(f"the body is {quoted(content)}; it must be a JSON object")
    return content


def draw_request(content: Mapping[str, Any], manifest: Manifest) -> DrawRequest:
    """Return what a body asks for.

    Raises
    ------
    OptionsError, StateError
        A field is unknown, missing, of the wrong type or out of range.
    """
    given = {name: value for name, value in content.items() if value is not None}
    task = _like(given) if "like" in given else _task(given, manifest)
    settings = {name: given[name] for name in SETTINGS if name in given}
    if isinstance(settings.get("seed"), str):
        settings["seed"] = digits(settings["seed"])
    base = GenerationOptions()
    if "like" in given:
        base = PictureParameters.from_dict(given["like"]).options()
    options = replace(base, **settings)
    check_amount(task, options, manifest)
    return DrawRequest(task, options, _previews(given.get("previews", True)), _flag(given, "heatmap", False))


def check_amount(task: Task, options: GenerationOptions, manifest: Manifest) -> None:
    """Raise `OptionsError` if one request asks for too much."""
    count = len(task.prompts) * task.pictures_per_prompt
    if count > limits.PICTURES:
        raise OptionsError(f"{count} pictures in one request; ask for at most {limits.PICTURES}")
    steps = options.settings(manifest.sampler).steps
    if steps > limits.STEPS:
        raise OptionsError(f"steps is {steps}; this server takes at most {limits.STEPS}")
    for prompt in (*task.prompts, *task.negative_prompts):
        if isinstance(prompt, str) and len(prompt) > limits.PROMPT:
            raise OptionsError(f"a prompt has {len(prompt)} characters; this server takes at most {limits.PROMPT}")


def check_canvas(picture: Image.Image, left: int, top: int, right: int, bottom: int) -> None:
    """Raise `OptionsError` if a picture with its margins is too large; what is no number is told elsewhere."""
    margins = [value if isinstance(value, int) else 0 for value in (left, top, right, bottom)]
    width, height = picture.width + margins[0] + margins[2], picture.height + margins[1] + margins[3]
    if width * height > limits.PIXELS:
        raise OptionsError(f"the canvas has {width}x{height} pixels; this server takes at most {limits.PIXELS}")


def _task(given: Mapping[str, Any], manifest: Manifest) -> Task:
    kind = given.get("task", "text_to_image")
    if not isinstance(kind, str) or kind not in OWN:
        raise OptionsError(f"task is {quoted(kind)}; choose one of: {', '.join(OWN)}")
    allowed = ("bundle", "task", *_COMMON, *OWN[kind], *SETTINGS, *_SHOWN)
    for name in given:
        if name not in allowed:
            raise OptionsError(f"{quoted(name)} is no field of {kind}; it has: {', '.join(allowed)}")
    own = {name: given[name] for name in OWN[kind] if name in given}
    if not isinstance(own.get("paste_back", True), bool):
        raise OptionsError(f"paste_back is {quoted(own['paste_back'])}; it must be true or false")
    for name in ("prompts", *(name for name in ("image", "mask") if name in OWN[kind])):
        if name not in given:
            raise OptionsError(f"{name} is missing, which {kind} needs")
    common = {name: given[name] for name in _COMMON if name in given and name != "prompts"}
    if "micro_conditioning" in common:
        common["micro_conditioning"] = _micro(common["micro_conditioning"], manifest)
    check_prompts(given["prompts"])
    pictures: dict[str, Image.Image] = {}
    for name in ("image", "mask"):
        if name in own:
            pictures[name] = from_base64(name, own.pop(name))
    return _build(kind, given["prompts"], pictures, own, common)


def _build(
    kind: str, prompts: Any, pictures: dict[str, Image.Image], own: dict[str, Any], common: dict[str, Any]
) -> Task:
    if kind == "variation":
        return Variation(prompts, pictures["image"], **own, **common)
    if kind == "inpainting":
        return Inpainting(prompts, pictures["image"], pictures["mask"], **own, **common)
    if kind == "outpainting":
        check_canvas(pictures["image"], *(own.get(name, 0) for name in _MARGINS))
        return outpainting(prompts, pictures["image"], **own, **common)
    return TextToImage(prompts, **common)


def check_prompts(prompts: object) -> None:
    """Raise `OptionsError` if there are too many, before anything is made of them."""
    if isinstance(prompts, list) and len(prompts) > limits.PICTURES:
        raise OptionsError(f"{len(prompts)} prompts in one request; give at most {limits.PICTURES}")


def _like(given: Mapping[str, Any]) -> Task:
    """Return the task of a picture that was drawn before, from what it says of itself."""
    allowed = ("bundle", *LIKE, *SETTINGS, *_SHOWN)
    for name in given:
        if name not in allowed:
            raise OptionsError(f"{quoted(name)} does not go with like, which draws the same task again")
    parameters = PictureParameters.from_dict(given["like"])
    sources = KINDS[parameters.task.kind].sources
    pictures = {name: from_base64(name, given[name]) for name in ("image", "mask") if name in given and name in sources}
    return rebuild_task(parameters, pictures.get("image"), pictures.get("mask"))


def _micro(values: object, manifest: Manifest) -> MicroConditioning:
    names = [field.name for field in fields(MicroConditioning)]
    if not isinstance(values, dict) or not set(values) <= set(names):
        raise OptionsError(f"micro_conditioning is {quoted(values)}; give an object with some of: {', '.join(names)}")
    return replace(manifest.micro_conditioning, **values)


def digits(text: str) -> int:
    """Return a whole number that JavaScript's own could not hold."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise OptionsError(f"seed is {quoted(text)}; it must be a whole number")
    return int(text)


def _previews(value: object) -> int:
    """Return how many there are at most; `true` is one for every step."""
    return (
        limits.STEPS * value
        if isinstance(value, bool)
        else whole_number("previews", value, minimum=0, maximum=limits.STEPS)
    )


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise OptionsError(f"{name} is {quoted(value)}; it must be true or false")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
