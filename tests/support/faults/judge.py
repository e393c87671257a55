"""What must hold after a command was hit by a fault, whatever the fault was."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from tests.support.faults.scene import Scene, Tree, tree, without_chance
from tests.support.faults.supervised import Ended


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes
    ----------
    arguments
        Of `amused-edge`, with the sources' paths.
    sources
        What it reads, which must stay as it is.
    prepare
        Puts what is there before into the folder where it runs.
    inside
        Folders that are filled file by file: each file in them is whole or not there. Other folders are as a whole.
    check
        Of files that are not the same each time (measured times, states of a picture): pattern of their names -> raises
        if one is damaged.
    one_by_one
        Several files are asked for, and each is whole by itself: after a kill, a second run names those that are there.
    modules
        What is imported before the command is forked.
    target
        Of an export: it runs once before it is forked, which spares each run the tracing.
    environment
        Variables that are set before anything is imported.
    library_speaks
        A library warns of what fails before the command's own line, the last, says it.
    program
        What is started anew with the arguments, where it is not this package's command.
    """

    arguments: list[str]
    sources: tuple[Path, ...]
    _: KW_ONLY
    prepare: Callable[[Scene], None] = lambda scene: None
    inside: tuple[str, ...] = ()
    check: dict[str, Callable[[Path], object]] = field(default_factory=dict)
    one_by_one: bool = False
    modules: tuple[str, ...] = ()
    target: str = ""
    environment: Callable[[Scene], dict[str, str]] = lambda scene: {}
    library_speaks: bool = False
    program: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A run without a fault: what was there before, and what it left."""

    before: Tree
    units: dict[str, Tree]
    temporary: list[str]


def units(command: Command, found: Tree, before: Tree) -> dict[str, Tree]:
    """Return what a command made, by what is whole or not there: a file, or a folder with all that it holds."""
    made: dict[str, Tree] = {}
    for name, content in found.items():
        if name in before or hidden(name):
            continue
        folder = next((inside for inside in command.inside if name.startswith(f"{inside}/")), None)
        if folder is None and name in command.inside:
            continue
        unit = name.split("/")[0] if folder is None else name
        made.setdefault(unit, {})[name] = content
    return made


def hidden(name: str) -> bool:
    """Say whether a path is, or is in, something unfinished."""
    return any(part.startswith(".") for part in name.split("/"))


def after_fault(command: Command, scene: Scene, reference: Reference, ended: Ended, excused: bool) -> list[str]:
    """Return what is wrong after a run that a fault hit.

    Parameters
    ----------
    excused
        It was killed, or could not remove anything: unfinished files may be left.
    """
    found, wrong = scene.tree("place"), []
    wrong += [f"{name} is gone or changed" for name, was in reference.before.items() if found.get(name) != was]
    made = units(command, found, reference.before)
    for unit, content in made.items():
        wrong += _unit(command, scene, reference, unit, content)
    left = [without_chance(name) for name in found if hidden(name)]
    left += [f"temporary/{without_chance(name)}" for name in scene.tree("temporary")]
    if left and not excused:
        wrong.append(f"left behind: {left[:3]}")
    if ended.code == 0 and set(made) != set(reference.units):
        wrong.append(f"it says that all is well, and made {sorted(made)} of {sorted(reference.units)}")
    if ended.code > 0 and not _one_line(ended, command):
        wrong.append(f"code {ended.code}, and says: {ended.err[-600:]}")
    return wrong


def _unit(command: Command, scene: Scene, reference: Reference, unit: str, content: Tree) -> list[str]:
    check = next((check for pattern, check in command.check.items() if fnmatch(unit, pattern)), None)
    if check is not None:
        try:
            check(scene.root / "place" / unit)
        except Exception as error:
            return [f"{unit} is damaged: {error}"]
        return []
    if unit not in reference.units:
        return [f"{unit} is there, which no run makes"]
    differs = sorted({name for name, _ in content.items() ^ reference.units[unit].items()})
    return [f"{unit} is there, and not whole: {differs[:4]}"] if differs else []


def _one_line(ended: Ended, command: Command) -> bool:
    lines = ended.err.strip().splitlines()[-1 if command.library_speaks else 0 :]
    return ended.code in (1, 2) and bool(lines) and all(line.startswith("amused-edge: ") for line in lines)


def after_second(command: Command, scene: Scene, reference: Reference, before: Tree, ended: Ended) -> list[str]:
    """Return what is wrong after the same command ran again; `before` is what had been left to it."""
    there = units(command, before, reference.before)
    found = scene.tree("place")
    made = units(command, found, reference.before)
    complete = set(there) == set(reference.units)
    if (complete or (command.one_by_one and there)) and ended.code != 0:
        named = any(part in ended.err for unit in there for part in unit.split("/"))
        kept = all(there.get(unit) == content for unit, content in made.items())
        return [] if named and _one_line(ended, command) and kept else [f"refused with {ended.err[-300:]}"]
    if ended.code != 0:
        return [f"a second run fails: {ended.err[-600:]}"]
    wrong = []
    if set(made) != set(reference.units):
        wrong.append(f"a second run made {sorted(made)} of {sorted(reference.units)}")
    for unit, content in made.items():
        wrong += _unit(command, scene, reference, unit, content)
    left = [without_chance(name) for name in found if hidden(name)]
    left += [f"cache/{without_chance(name)}" for name in scene.tree("cache") if hidden(name)]
    return [*wrong, f"a second run leaves {left[:3]}"] if left else wrong


def sources_of(command: Command) -> list[Tree]:
    """Return what a command's sources hold."""
    return [tree(path) if path.is_dir() else tree(path.parent) for path in command.sources]
