"""Everything that one picture was drawn from, as JSON: what a PNG carries, and what a saved state belongs to."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.checks import check_text
from amused_edge.runtime.errors import OptionsError, StateError, quoted
from amused_edge.runtime.pictures.sources import ImageSource
from amused_edge.runtime.sampling.options import LATER_OPTIONS, GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.clip import ClipFrame
from amused_edge.runtime.tasks.kinds import KINDS, Task
from amused_edge.runtime.tasks.record import ADVICE, EmbeddingsHash, TaskRecord
from amused_edge.runtime.tasks.weights import PromptWeights

VERSION = 1
CLIP_VERSION = 2
"""Of a clip's frames, so that a runtime that knows no clips refuses them."""
LATER_VERSION = 3
"""Of what was drawn with settings that came later, so that a runtime that does not know them refuses it."""

_FORMAT = "amused-edge picture"


@dataclass(frozen=True)
class PictureParameters:
    """One picture's parameters.

    Attributes
    ----------
    bundle_name, bundle_sha256
        Of the bundle; the name is for people.
    task
        Kind, prompts, index of the picture and the kind's own fields. Pictures and embeddings, which are not kept,
        stand there as hashes.
    seed, settings
        Of the loop.
    clip
        The frame of a clip that the picture is, or None.
    """

    bundle_name: str
    bundle_sha256: str
    task: TaskRecord
    seed: int
    settings: SamplerSettings
    clip: ClipFrame | None = None

    @staticmethod
    def of(name: str, sha256: str, task: Task, seed: int, settings: SamplerSettings) -> "PictureParameters":
        """Describe the task of one picture, drawn with a bundle of this name and hash."""
        return PictureParameters(name, sha256, TaskRecord.of(task), seed, settings)

    def to_json(self) -> str:
        """Return them as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {
            "format": _FORMAT,
            "version": _version(self.settings, self.clip is not None),
            "bundle": {"name": self.bundle_name, "sha256": self.bundle_sha256},
            "task": self.task.to_dict(),
            "seed": self.seed,
            "settings": self.settings.to_dict(),
            **({} if self.clip is None else {"clip": self.clip.to_dict()}),
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
            values = Fields(content, "parameters", ADVICE, _unreadable)
            known = (VERSION, CLIP_VERSION, LATER_VERSION)
            if values.get("format", str) != _FORMAT or (version := values.get("version", int)) not in known:
                raise _other_version()
            bundle = values.child("bundle")
            name, sha256, task = bundle.get("name", str), bundle.get("sha256", str), values.get("task", dict)
            seed = GenerationOptions(seed=values.get("seed", int)).seed
            chosen = _settings(values.child("settings"))
            if version != _version(chosen, "clip" in values):
                raise _other_version()
            check_text(name)
            check_text(sha256)
            clip = ClipFrame.read(values.child("clip")) if "clip" in values else None
            return PictureParameters(name, sha256, TaskRecord.read(task, _unreadable), seed, chosen, clip)
        except OptionsError as error:
            raise _unreadable(str(error)) from error

    def options(self) -> GenerationOptions:
        """Return the options that draw the picture again, or the clip that it is a frame of."""
        settings = self.settings if self.clip is None else replace(self.settings, schedule=self.clip.first_schedule)
        return GenerationOptions(self.seed, **asdict(settings))

    @property
    def noise_step(self) -> int:
        """What is added to a step's number where its random numbers are looked up."""
        return 0 if self.clip is None else self.clip.noise_step

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
                if TaskRecord.of(single) == self.task:
                    return single
            raise StateError("the task that was given is not the one of the picture: " + _difference(given, self.task))
        if KINDS[self.task.kind].sources:
            raise StateError(f"{self.task.kind} needs its pictures again; give them as they were")
        return rebuild_task(self)


def _version(settings: SamplerSettings, clip: bool) -> int:
    return LATER_VERSION if settings.later else CLIP_VERSION if clip else VERSION


def _settings(values: Fields) -> SamplerSettings:
    names = [field.name for field in fields(SamplerSettings) if field.name not in LATER_OPTIONS or field.name in values]
    return SamplerSettings(**{name: values.raw(name) for name in names})


def _other_version() -> StateError:
    return StateError("these are parameters of another format or version; use the amused-edge that wrote it")


def _unreadable(why: str) -> StateError:
    return StateError(f"the parameters of a picture cannot be read: {why}")


def rebuild_task(
    parameters: PictureParameters, image: ImageSource | None = None, mask: ImageSource | None = None
) -> Task:
    """Return the task of a picture from its parameters and the pictures that it was given.

    Raises
    ------
    StateError
        A picture is missing, too many, or not the one of then.
    """
    task, build = parameters.task, KINDS[parameters.task.kind]
    given = {"image": image, "mask": mask}
    for name, source in given.items():
        if (source is not None) != (name in build.sources):
            said = f"needs its {name}; give it as it was" if name in build.sources else f"has no {name}; leave it out"
            raise StateError(f"{task.kind} {said}")
    values: dict[str, Any] = {f"{name}s": given[name] for name in build.sources} | task.own
    try:
        built = build(
            _text(task.prompt),
            negative_prompts=_text(task.negative_prompt),
            first_picture=task.picture,
            micro_conditioning=task.micro_conditioning,
            **values,
        )
    except OptionsError as error:
        raise StateError(f"the picture's task cannot be drawn again: {error}") from error
    return parameters.restore(built) if build.sources else built


def _text(prompt: str | PromptWeights | EmbeddingsHash) -> str | PromptWeights:
    if isinstance(prompt, EmbeddingsHash):
        raise StateError("the picture was drawn from prompt embeddings; give them again")
    return prompt


def _difference(given: Task, expected: TaskRecord) -> str:
    """Name the first field that differs."""
    found, wanted = TaskRecord.of(given.single(*given.pictures()[0])).to_dict(), expected.to_dict()
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    return f"its {names[0]} is {quoted(found.get(names[0]))}, the picture's {quoted(wanted.get(names[0]))}"
