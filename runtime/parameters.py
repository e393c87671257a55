"""Everything that one picture was drawn from, as JSON: what a PNG carries, and what a saved state belongs to."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from amused_edge.runtime.embeddings import Prompt, PromptEmbeddings
from amused_edge.runtime.errors import BundleError, OptionsError, StateError
from amused_edge.runtime.json_fields import Fields
from amused_edge.runtime.manifest import MicroConditioning
from amused_edge.runtime.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.pictures.sources import ImageSource
from amused_edge.runtime.tasks import Inpainting, Task, TextToImage, Variation, image_hash

VERSION = 1
_FORMAT = "amused-edge picture"

_KINDS: dict[str, type[Task]] = {
    "text_to_image": TextToImage,
    "variation": Variation,
    "inpainting": Inpainting,
}
_OWN_FIELDS: dict[str, tuple[str, ...]] = {
    "text_to_image": (),
    "variation": ("strength", "fit"),
    "inpainting": ("strength", "fit", "coverage", "paste_back", "feather"),
}


@dataclass(frozen=True)
class PictureParameters:
    """One picture's parameters.

    Attributes
    ----------
    bundle_name, bundle_sha256
        Of the bundle; the name is for people.
    task
        Kind, prompts, index of the picture and the kind's own fields as plain values. Pictures and embeddings, which
        are not kept, stand there as hashes.
    seed, settings
        Of the loop.
    """

    bundle_name: str
    bundle_sha256: str
    task: dict[str, Any]
    seed: int
    settings: SamplerSettings

    @staticmethod
    def of(name: str, sha256: str, task: Task, seed: int, settings: SamplerSettings) -> "PictureParameters":
        """Describe the task of one picture, drawn with a bundle of this name and hash."""
        return PictureParameters(name, sha256, _described(task), seed, settings)

    def to_json(self) -> str:
        """Return them as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {
            "format": _FORMAT,
            "version": VERSION,
            "bundle": {"name": self.bundle_name, "sha256": self.bundle_sha256},
            "task": self.task,
            "seed": self.seed,
            "settings": asdict(self.settings),
        }

    @staticmethod
    def from_json(text: str) -> "PictureParameters":
        """Read what `to_json` wrote; raises `StateError` if it is anything else."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise StateError(f"the parameters of a picture are not JSON: {error}") from error
        return PictureParameters.from_dict(content)

    @staticmethod
    def from_dict(content: object) -> "PictureParameters":
        """Read what `to_dict` returned; raises `StateError` if it is anything else."""
        try:
            values = Fields(content, "parameters")
            if values.get("format", str) != _FORMAT or values.get("version", int) != VERSION:
                raise StateError("these are parameters of another format or version; use the amused-edge that wrote it")
            bundle, settings = values.child("bundle"), values.child("settings")
            parameters = PictureParameters(
                bundle.get("name", str),
                bundle.get("sha256", str),
                values.get("task", dict),
                GenerationOptions(seed=values.get("seed", int)).seed,
                SamplerSettings(**{field.name: settings.raw(field.name) for field in fields(SamplerSettings)}),
            )
            _check_task(parameters.task)
        except (BundleError, OptionsError) as error:
            raise StateError(f"the parameters of a picture are damaged: {error}") from error
        return parameters

    def options(self) -> GenerationOptions:
        """Return the options that draw the picture again."""
        return GenerationOptions(self.seed, **asdict(self.settings))

    def restore(self, given: Task | None = None) -> Task:
        """Return the task of the picture.

        Parameters
        ----------
        given
            The same task, with the pictures and embeddings that the parameters hold only the hashes of.

        Raises
        ------
        StateError
            Something must be given and was not, or is not the same.
        """
        if given is not None:
            for index in given.pictures():
                single = given.single(*index)
                if _described(single) == self.task:
                    return single
            raise StateError("the task that was given is not the one of the picture: " + _difference(given, self.task))
        if self.task["kind"] != "text_to_image":
            raise StateError(f"{self.task['kind']} needs its pictures again; give them as they were")
        return TextToImage(
            _text(self.task["prompt"]),
            _text(self.task["negative_prompt"]),
            first_picture=self.task["picture"],
            micro_conditioning=_micro(self.task["micro_conditioning"]),
        )


def rebuilt(parameters: PictureParameters, image: ImageSource | None, mask: ImageSource | None) -> Task:
    """Return the task of a picture from its parameters and the pictures that it was given.

    Raises
    ------
    StateError
        A picture is missing, or is not the one of then.
    """
    task, kind = parameters.task, parameters.task["kind"]
    given = [source for source in (image, mask) if source is not None]
    needed = {"text_to_image": 0, "variation": 1, "inpainting": 2}[kind]
    if len(given) < needed:
        raise StateError(f"{kind} needs its {'picture' if image is None else 'mask'} again; give it as it was")
    if not needed:
        return parameters.restore()
    own: dict[str, Any] = {name: task[name] for name in _OWN_FIELDS[kind]}
    common: dict[str, Any] = {
        "negative_prompts": _text(task["negative_prompt"]),
        "first_picture": task["picture"],
        "micro_conditioning": _micro(task["micro_conditioning"]),
    }
    build: Any = _KINDS[kind]
    return parameters.restore(build(_text(task["prompt"]), *given[:needed], **own, **common))


def _described(task: Task) -> dict[str, Any]:
    kind = next(name for name, build in _KINDS.items() if isinstance(task, build))
    (prompt,), (negative,) = task.prompts, task.negative_prompts
    described = {
        "kind": kind,
        "prompt": _prompt(prompt),
        "negative_prompt": _prompt(negative),
        "picture": task.first_picture,
        "micro_conditioning": None if task.micro_conditioning is None else asdict(task.micro_conditioning),
    }
    if isinstance(task, Variation | Inpainting):
        described["image_sha256"] = image_hash(task.images[0])
    if isinstance(task, Inpainting):
        described["mask_sha256"] = image_hash(task.masks[0])
    return {**described, **{name: getattr(task, name) for name in _OWN_FIELDS[kind]}}


def _prompt(prompt: Prompt) -> Any:
    return {"embeddings_sha256": prompt.sha256} if isinstance(prompt, PromptEmbeddings) else prompt


def _text(prompt: object) -> str:
    if not isinstance(prompt, str):
        raise StateError("the picture was drawn from prompt embeddings; give them again")
    return prompt


def _micro(value: dict[str, float] | None) -> MicroConditioning | None:
    return None if value is None else MicroConditioning(**value)


def _check_task(task: dict[str, Any]) -> None:
    """Check what the rest relies on."""
    values = Fields(task, "parameters: task")
    kind = values.get("kind", str)
    if kind not in _KINDS:
        raise StateError(f"the task {kind!r} is not known to this amused-edge; upgrade it")
    for name in ("prompt", "negative_prompt"):
        if not isinstance(values.raw(name), str):
            values.child(name).get("embeddings_sha256", str)
    values.get("picture", int)
    if values.raw("micro_conditioning") is not None:
        micro = values.child("micro_conditioning")
        if sorted(micro) != sorted(MicroConditioning.__dataclass_fields__):
            raise StateError("the micro-conditioning of a picture is damaged")
        for name in micro:
            micro.get(name, float)
    for name in _OWN_FIELDS[kind]:
        values.raw(name)


def _difference(given: Task, expected: dict[str, Any]) -> str:
    """Name the first field that differs."""
    found = _described(given.single(*given.pictures()[0]))
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    return f"its {names[0]} is {found.get(names[0])!r}, the picture's {expected.get(names[0])!r}"
