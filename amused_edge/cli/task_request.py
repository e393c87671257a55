"""What `amused-edge generate` is asked to draw, and the task and the options that it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from warnings import warn

import click

from amused_edge.runtime.errors import quoted

if TYPE_CHECKING:
    from amused_edge.runtime import Bundle, GenerationOptions, PictureParameters
    from amused_edge.runtime.tasks.embeddings import Prompt
    from amused_edge.runtime.tasks.kinds import Task

_SETTINGS = {
    "seed": "seed",
    "steps": "steps",
    "guidance": "guidance_scale",
    "temperature": "temperature",
    "schedule": "schedule",
    "guidance_ramp": "guidance_ramp",
    "guidance_interval": "guidance_interval",
    "order": "order",
    "entropy_bound": "entropy_bound",
    "row_cache": "row_cache",
}
"""Option of the command -> attribute of `GenerationOptions`."""

_MICRO = ("crop_top", "crop_left", "aesthetic_score")
_COMMON = ("negative", "count", "first", *_MICRO)
"""Options that every task takes."""

_REPAINTING = ("strength", "fit", "coverage", "paste_back", "feather")
_OWN: dict[str, tuple[str, ...]] = {
    "text_to_image": (),
    "variation": ("strength", "fit"),
    "inpainting": _REPAINTING,
    "outpainting": ("strength", "feather"),
}
"""Kind of task -> options that it takes beside."""


@dataclass(frozen=True)
class TaskRequest:
    """The options of the command that say what is drawn, under their own names; None is what was not given.

    Attributes
    ----------
    prompts, prompts_file
        Texts, and a file with more of them.
    like
        Picture of this command to draw again, in place of prompts.
    image, mask, outpaint
        Picture to start from, and what of it is drawn anew: where the mask is bright, or (left, top, right, bottom)
        pixels around it.
    strength, fit, coverage, paste_back, feather
        How the picture is used.
    weights
        Whether prompts are read with weights.
    negative, count, first, crop_top, crop_left, aesthetic_score
        What every task takes.
    seed, steps, guidance, temperature, schedule, guidance_ramp, guidance_interval, order, entropy_bound,
    row_cache
        Of the loop.
    clip
        Whether what is drawn is the first frame of a clip.
    """

    prompts: tuple[str, ...]
    prompts_file: Path | None
    like: Path | None
    image: Path | None
    mask: Path | None
    outpaint: tuple[int, int, int, int] | None
    strength: float | None
    fit: str | None
    coverage: str | None
    paste_back: bool | None
    feather: int | None
    negative: tuple[str, ...]
    weights: bool
    count: int | None
    first: int | None
    crop_top: float | None
    crop_left: float | None
    aesthetic_score: float | None
    seed: int | None
    steps: int | None
    guidance: float | None
    temperature: float | tuple[float, float] | None
    schedule: str | None
    guidance_ramp: str | None
    guidance_interval: tuple[float, float] | None
    order: str | None
    entropy_bound: float | None
    row_cache: int | None
    clip: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """Kind of task that the options ask for."""
        if self.mask is not None and self.outpaint is not None:
            raise click.UsageError("give --mask or --outpaint, not both")
        if self.image is None:
            if self.mask is not None or self.outpaint is not None:
                raise click.UsageError("--mask and --outpaint need an --image")
            return "text_to_image"
        if self.mask is not None:
            return "inpainting"
        return "variation" if self.outpaint is None else "outpainting"

    @property
    def margins(self) -> dict[str, Any]:
        """Pixels of new canvas, by side."""
        return dict(zip(("left", "top", "right", "bottom"), self.outpaint or (), strict=False))

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of the options that were given, by name."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value not in (None, ())}


def task_and_options(request: TaskRequest, bundle: "Bundle") -> "tuple[Task, GenerationOptions]":
    """Return the task and the options of the loop; raises `click.UsageError` where options do not go together."""
    from amused_edge.runtime import GenerationOptions

    texts = _texts(request)
    settings = {_SETTINGS[option]: value for option, value in request.given(*_SETTINGS).items()}
    if request.like is None:
        if not texts:
            raise click.UsageError("give a PROMPT, --prompts-file or --like")
        return _task(texts, request, bundle), GenerationOptions(**settings)
    if texts:
        raise click.UsageError("give prompts or --like, not both; the picture has its prompt with it")
    parameters = _like(request.like, request, bundle)
    return _task_like(parameters, request), replace(parameters.options(), **settings)


def _texts(request: TaskRequest) -> list[str]:
    """Return the prompts of the command line, then those of a file."""
    from amused_edge.runtime.tasks.prompt_file import read_prompts

    return [*request.prompts, *(() if request.prompts_file is None else read_prompts(request.prompts_file))]


def _task(texts: list[str], request: TaskRequest, bundle: "Bundle") -> "Task":
    from amused_edge.runtime import Inpainting, TextToImage, Variation, outpainting

    kind = request.kind
    for name in sorted(set(request.given(*_REPAINTING)) - set(_OWN[kind])):
        raise click.UsageError(f"{_flag(name)} does not belong to {kind.replace('_', ' ')}")
    taken = {**request.given(*_OWN[kind]), **_common(request, bundle)}
    prompts = _prompts(texts, request)
    if request.image is None:
        return TextToImage(prompts, **taken)
    if request.mask is not None:
        return Inpainting(prompts, request.image, request.mask, **taken)
    if request.outpaint is not None:
        return outpainting(prompts, request.image, **request.margins, **taken)
    return Variation(prompts, request.image, **taken)


def _prompts(texts: Sequence[str], request: TaskRequest) -> "list[Prompt]":
    """Return texts as prompts, with weights where these are asked for."""
    from amused_edge.runtime.tasks.weights import with_weights

    return [with_weights(text) if request.weights else text for text in texts]


def _common(request: TaskRequest, bundle: "Bundle") -> dict[str, Any]:
    """Return what every task takes."""
    micro = request.given(*_MICRO)
    return {
        "negative_prompts": _prompts(request.negative, request) or "",
        "pictures_per_prompt": 1 if request.count is None else request.count,
        "first_picture": request.first or 0,
        "micro_conditioning": replace(bundle.manifest.micro_conditioning, **micro) if micro else None,
    }


def _like(path: Path, request: TaskRequest, bundle: "Bundle") -> "PictureParameters":
    """Return the parameters of a picture that was drawn before; a note says if another bundle drew it."""
    from amused_edge.runtime import AmusedEdgeWarning, PictureParameters
    from amused_edge.runtime.pictures import read_parameters

    weights = ["weights"] if request.weights else []
    for name in (*request.given(*_COMMON, *_REPAINTING), *weights):
        raise click.UsageError(f"{_flag(name)} does not go with --like, which draws the same task again")
    parameters = PictureParameters.from_json(read_parameters(path))
    if parameters.clip is not None and not request.clip:
        raise click.UsageError(f"{path} is a frame of a clip; `amused-edge video --like` draws it again")
    if parameters.bundle_sha256 != bundle.sha256:
        warn(
            f"{path} was drawn by another bundle ({quoted(parameters.bundle_name)}); this one may draw another picture",
            AmusedEdgeWarning,
            stacklevel=2,
        )
    return parameters


def _task_like(parameters: "PictureParameters", request: TaskRequest) -> "Task":
    """Return the task of a picture that was drawn before."""
    from amused_edge.runtime import outpainting
    from amused_edge.runtime.tasks.parameters import rebuild_task

    if request.kind != "outpainting" or request.image is None:
        return rebuild_task(parameters, request.image, request.mask)
    canvas = outpainting("", request.image, **request.margins)
    return rebuild_task(parameters, canvas.images[0], canvas.masks[0])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
