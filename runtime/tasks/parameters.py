"""Everything that one picture was drawn from, as JSON: what a PNG carries, and what a saved state belongs to."""

import copy
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.checks import check_text
from amused_edge.runtime.errors import BundleError, OptionsError, StateError, quoted
from amused_edge.runtime.pictures.sources import ImageSource
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.embeddings import Prompt, PromptEmbeddings
from amused_edge.runtime.tasks.kinds import Inpainting, Task, TextToImage, Variation

VERSION = 1
_FORMAT = "amused-edge picture"
_ADVICE = "it is damaged"

_KINDS: dict[str, Any] = {
    "text_to_image": TextToImage,
    "variation": Variation,
    "inpainting": Inpainting,
}
_PICTURES: dict[str, tuple[str, ...]] = {"text_to_image": (), "variation": ("image",), "inpainting": ("image", "mask")}
"""What a task of each kind is given beside its prompt."""

OWN_FIELDS: dict[str, tuple[str, ...]] = {
    "text_to_image": (),
    "variation": ("strength", "fit"),
    "inpainting": ("strength", "fit", "coverage", "paste_back", "feather"),
}
"""Attributes of a task of each kind that are plain values."""


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
            "task": copy.deepcopy(self.task),  # nobody changes ours
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
            values = Fields(content, "parameters", _ADVICE)
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
            check_text(parameters.bundle_name)
            check_text(parameters.bundle_sha256)
            _check_task(parameters.task)
        except (BundleError, OptionsError) as error:
            raise StateError(f"the parameters of a picture cannot be read: {error}") from error
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
        return rebuild_task(self)


def rebuild_task(
    parameters: PictureParameters, image: ImageSource | None = None, mask: ImageSource | None = None
) -> Task:
    """Return the task of a picture from its parameters and the pictures that it was given.

    Raises
    ------
    StateError
        A picture is missing, too many, or not the one of then.
    """
    task, kind = parameters.task, parameters.task["kind"]
    given = {"image": image, "mask": mask}
    needed = _PICTURES[kind]
    for name, source in given.items():
        if (source is not None) != (name in needed):
            said = f"needs its {name}; give it as it was" if name in needed else f"has no {name}; leave it out"
            raise StateError(f"{kind} {said}")
    try:
        built = _KINDS[kind](
            _text(task["prompt"]),
            *(given[name] for name in needed),
            **{name: task[name] for name in OWN_FIELDS[kind]},
            negative_prompts=_text(task["negative_prompt"]),
            first_picture=task["picture"],
            micro_conditioning=_micro(task["micro_conditioning"]),
        )
    except OptionsError as error:
        raise StateError(f"the picture's task cannot be drawn again: {error}") from error
    return parameters.restore(built) if needed else built


def _described(task: Task) -> dict[str, Any]:
    kind = next((name for name, build in _KINDS.items() if isinstance(task, build)), None)
    if kind is None:
        raise OptionsError(f"{type(task).__name__} is no task; give a TextToImage, Variation or Inpainting")
    (prompt,), (negative,) = task.prompts, task.negative_prompts
    described = {
        "kind": kind,
        "prompt": _prompt(prompt),
        "negative_prompt": _prompt(negative),
        "picture": task.first_picture,
        "micro_conditioning": None if task.micro_conditioning is None else asdict(task.micro_conditioning),
    }
    for name in _PICTURES[kind]:
        described[f"{name}_sha256"] = getattr(task, f"{name}_hashes")[0]
    return {**described, **{name: getattr(task, name) for name in OWN_FIELDS[kind]}}


def _prompt(prompt: Prompt) -> Any:
    return {"embeddings_sha256": prompt.sha256} if isinstance(prompt, PromptEmbeddings) else prompt


def _text(prompt: object) -> str:
    if not isinstance(prompt, str):
        raise StateError("the picture was drawn from prompt embeddings; give them again")
    return prompt


def _micro(value: dict[str, Any] | None) -> MicroConditioning | None:
    return None if value is None else MicroConditioning(**value)


def _check_task(task: dict[str, Any]) -> None:
    """Check that all is there that a task of its kind has, and nothing else."""
    values = Fields(task, "task", _ADVICE)
    kind = values.get("kind", str)
    if kind not in _KINDS:
        raise StateError(f"the task {quoted(kind)} is not known to this amused-edge; upgrade it")
    hashes = [f"{name}_sha256" for name in _PICTURES[kind]]
    expected = {"kind", "prompt", "negative_prompt", "picture", "micro_conditioning", *hashes, *OWN_FIELDS[kind]}
    if set(task) != expected:
        raise StateError(f"the task has {sorted(task)}, not {sorted(expected)}; {_ADVICE}")
    for name in hashes:
        check_text(values.get(name, str))
    for name in OWN_FIELDS[kind]:
        if not isinstance(task[name], bool | int | float | str):
            raise StateError(f"the task's {name} is {type(task[name]).__name__}; {_ADVICE}")
        check_text(str(task[name]))
    for name in ("prompt", "negative_prompt"):
        if isinstance(task[name], str):
            check_text(task[name])
        else:
            check_text(values.child(name).get("embeddings_sha256", str))
    if task["micro_conditioning"] is not None:
        micro = values.child("micro_conditioning")
        _micro({name: micro.get(name, float) for name in MicroConditioning.__dataclass_fields__})
    TextToImage("", first_picture=values.get("picture", int))  # checks its range


def _difference(given: Task, expected: dict[str, Any]) -> str:
    """Name the first field that differs."""
    found = _described(given.single(*given.pictures()[0]))
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    return f"its {names[0]} is {quoted(found.get(names[0]))}, the picture's {quoted(expected.get(names[0]))}"
