"""Draws all prompts with every bundle and setting, one bundle in memory at a time."""

from collections.abc import Callable, Sequence

from amused_edge.benchmarks.free_running import draw_tokens
from amused_edge.benchmarks.quality.draw import OnPicture, picture_path, read_pictures, save_picture
from amused_edge.benchmarks.run_folder import RunFolder
from amused_edge.benchmarks.subject import Subject, SubjectSpec, make_subject
from amused_edge.runtime.image import ImageArray
from amused_edge.runtime.options import SamplerSettings

Pictures = Callable[[str, SamplerSettings], list[ImageArray]]
"""(label, setting) -> the pictures (H, W, 3) of all prompts."""


def draw_grid(
    specs: Sequence[SubjectSpec],
    prompts: Sequence[str],
    grid: Sequence[SamplerSettings],
    seed: int,
    run: RunFolder,
    on_picture: OnPicture | None = None,
) -> Pictures:
    """Draw what the folder has no record of, and return a reader of the pictures.

    Prompt k is drawn from the random numbers of picture k, by all bundles and with all settings.
    """
    subjects = {spec.label: make_subject(spec.target, spec.arguments) for spec in specs}
    total = len(subjects) * len(grid)
    for number, (label, subject) in enumerate(subjects.items()):
        missing = [settings for settings in grid if _key(label, settings) not in run]
        if missing:
            subject.load()
        for settings in missing:
            if on_picture is not None:
                done = number * len(grid) + grid.index(settings)
                on_picture(_key(label, settings), done, total)
            _draw(subject, label, prompts, settings, seed, run)
            run.add(_key(label, settings), {"pictures": len(prompts)})
        subject.close()
    return lambda label, settings: read_pictures(run.path, _key(label, settings), len(prompts))


def _draw(
    subject: Subject, label: str, prompts: Sequence[str], settings: SamplerSettings, seed: int, run: RunFolder
) -> None:
    for index, prompt in enumerate(prompts):
        source = subject.logits(prompt, settings)
        tokens = draw_tokens(source, subject.geometry, settings, seed=seed, picture=index)
        save_picture(subject.decode(tokens)[0], picture_path(run.path, _key(label, settings), index))


def _key(label: str, settings: SamplerSettings) -> str:
    return f"{label}, {settings.steps} steps, guidance {settings.guidance_scale:g}"
