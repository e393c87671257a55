"""What files say of the task of one picture: its kind, prompts and own fields as plain values, pictures as hashes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.checks import check_text
from amused_edge.runtime.errors import OptionsError, StateError, quoted
from amused_edge.runtime.tasks.embeddings import Prompt, PromptEmbeddings
from amused_edge.runtime.tasks.kinds import KINDS, Task, TextToImage
from amused_edge.runtime.tasks.weights import PromptWeights

ADVICE = "it is damaged"

Plain = bool | int | float | str


@dataclass(frozen=True)
class EmbeddingsHash:
    """Stands for prompt embeddings, which are not kept."""

    embeddings_sha256: str


@dataclass(frozen=True)
class TaskRecord:
    """The task of one picture.

    Attributes
    ----------
    kind
        As `Task.kind`.
    picture
        Index of the picture within its prompt.
    hashes
        Of each of the kind's sources.
    own
        The kind's own fields.
    """

    kind: str
    prompt: str | PromptWeights | EmbeddingsHash
    negative_prompt: str | PromptWeights | EmbeddingsHash
    picture: int
    micro_conditioning: MicroConditioning | None
    hashes: dict[str, str]
    own: dict[str, Plain]

    @staticmethod
    def of(task: Task) -> "TaskRecord":
        """Describe the task of one picture."""
        if not isinstance(task, tuple(KINDS.values())):
            raise OptionsError(f"{type(task).__name__} is no task; give a TextToImage, Variation or Inpainting")
        (prompt,), (negative,) = task.prompts, task.negative_prompts
        return TaskRecord(
            task.kind,
            _prompt(prompt),
            _prompt(negative),
            task.first_picture,
            task.micro_conditioning,
            {name: getattr(task, f"{name}_hashes")[0] for name in task.sources},
            {name: getattr(task, name) for name in task.own},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        shared = asdict(self)
        del shared["hashes"], shared["own"]
        return {**shared, **{f"{name}_sha256": value for name, value in self.hashes.items()}, **self.own}

    @staticmethod
    def read(task: dict[str, Any], refusal: Callable[[str], Exception]) -> "TaskRecord":
        """Read what `to_dict` returned, and check that there is nothing else.

        Parameters
        ----------
        refusal
            Of `Fields`.

        Raises
        ------
        StateError, OptionsError
            It is anything else.
        """
        values = Fields(task, "task", ADVICE, refusal)
        kind = values.get("kind", str)
        if kind not in KINDS:
            raise StateError(f"the task {quoted(kind)} is not known to this amused-edge; upgrade it")
        sources, own = KINDS[kind].sources, KINDS[kind].own
        shared = {field.name for field in fields(TaskRecord)} - {"hashes", "own"}
        expected = {*shared, *(f"{name}_sha256" for name in sources), *own}
        if set(task) != expected:
            raise StateError(f"the task has {sorted(task)}, not {sorted(expected)}; {ADVICE}")
        hashes = {name: _text(values, f"{name}_sha256") for name in sources}
        plain = {name: _plain(name, task[name]) for name in own}
        prompt, negative = (_prompt_of(values, name) for name in ("prompt", "negative_prompt"))
        micro = None if task["micro_conditioning"] is None else _micro(values.child("micro_conditioning"))
        picture = TextToImage("", first_picture=values.get("picture", int)).first_picture  # checks its range
        return TaskRecord(kind, prompt, negative, picture, micro, hashes, plain)


def _prompt(prompt: Prompt) -> str | PromptWeights | EmbeddingsHash:
    return EmbeddingsHash(prompt.sha256) if isinstance(prompt, PromptEmbeddings) else prompt


def _prompt_of(values: Fields, name: str) -> str | PromptWeights | EmbeddingsHash:
    if isinstance(values.raw(name), str):
        return _text(values, name)
    if "weighted_text" in values.child(name):
        return PromptWeights(values.child(name).get("weighted_text", str))
    return EmbeddingsHash(_text(values.child(name), "embeddings_sha256"))


def _text(values: Fields, name: str) -> str:
    text = values.get(name, str)
    check_text(text)
    return text


def _plain(name: str, value: object) -> Plain:
    if not isinstance(value, bool | int | float | str):
        raise StateError(f"the task's {name} is {type(value).__name__}; {ADVICE}")
    check_text(str(value))
    return value


def _micro(values: Fields) -> MicroConditioning:
    return MicroConditioning(**{field.name: values.get(field.name, float) for field in fields(MicroConditioning)})
