"""Draws all prompts with every bundle and setting, one bundle in memory at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path

from amused_edge.benchmarks.quality.draw import picture_path, read_pictures, save_picture
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec, make_subject
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.stages import OnStage

Pictures = Callable[[str, SamplerSettings], list[ImageArray]]
"""(label, setting) -> the pictures (H, W, 3) of all prompts."""


def draw_grid(
    specs: Sequence[SubjectSpec],
    prompts: Sequence[str],
    grid: Sequence[SamplerSettings],
    seed: int,
    run: RunFolder,
    on_picture: OnStage | None = None,
) -> Pictures:
    """Draw what the folder has no record of, and return a reader of the pictures.

    Prompt k is drawn from the random numbers of picture k, by all bundles and with all settings.
    """
    subjects = {spec.label: make_subject(spec.target, spec.arguments) for spec in specs}
    plan = [(label, settings, index) for label in subjects for settings in grid for index in range(len(prompts))]
    missing = [each for each in plan if _key(*each) not in run]
    done = len(plan) - len(missing)
    for label, subject in subjects.items():
        own = [each for each in missing if each[0] == label]
        if not own:
            continue
        try:
            subject.load()
            for _, settings, index in own:
                if on_picture is not None:
                    on_picture(_name(label, settings), done, len(plan))
                path = picture_path(run.path, _name(label, settings), index)
                _draw(subject, prompts[index], settings, index, seed, path)
                run.add(_key(label, settings, index), {})
                done += 1
        finally:
            subject.close()
    return lambda label, settings: read_pictures(run.path, _name(label, settings), len(prompts))


def _draw(subject: Subject, prompt: str, settings: SamplerSettings, index: int, seed: int, path: Path) -> None:
    source = subject.logits(prompt, settings)
    tokens = draw_tokens(source, subject.geometry, settings, seed=seed, picture=index)
    save_picture(subject.decode(tokens)[0], path)


def _key(label: str, settings: SamplerSettings, index: int) -> str:
    return f"{_name(label, settings)}, prompt {index}"


def _name(label: str, settings: SamplerSettings) -> str:
    return f"{label}, {settings.steps} steps, guidance {settings.guidance_scale:g}"
