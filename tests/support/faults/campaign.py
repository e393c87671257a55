"""A command, once without a fault, then once for each file-changing call and each fault that it may meet there."""

import errno
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from amused_edge.runtime.bundle.manifest import ROLES
from tests.support.faults.judge import Command, Reference, after_fault, after_second, sources_of, units
from tests.support.faults.scene import Scene, Tree, without_chance
from tests.support.faults.supervised import REMOVALS, Call, Verdict

FAULTS = ("ENOSPC", "EIO", "EROFS", "EDQUOT", "kill")
"""Full: nothing grows any more from there on. Input/output error and quota: this call fails. Read-only: nothing can be
changed any more from there on. Kill: the process is ended before the call."""

_GROWING = frozenset(
    {
        *("open", "openat", "openat2", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"),
        *("mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "fallocate", "copy_file_range", "splice"),
    }
)


_GRAPH = re.compile("|".join(ROLES))


@dataclass
class Account:
    """What became of one command.

    Attributes
    ----------
    points
        File-changing calls in the folders where it may write.
    kinds
        Of these: calls of one name that change the same file, whichever graph's.
    left_out
        Other file-changing calls, by what they change -> how many.
    runs, second_runs
        With a fault; and again after one, once for each state that faults left.
    ended
        How the runs with a fault ended -> how many.
    left_in_temporary
        What stayed in the temporary folder -> after how many runs.
    wrong
        (call, fault, what is wrong).
    """

    points: int = 0
    kinds: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    second_runs: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    left_in_temporary: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: float = 0.0


class _Watch:
    """Decides on each call: number `at` meets the fault."""

    def __init__(self, scene: Scene, at: int, fault: str) -> None:
        self._scene, self._at, self._fault = scene, at, fault
        self.calls: list[Call] = []
        self.others: list[Call] = []

    @property
    def hit(self) -> Call | None:
        """The call that met the fault."""
        return self.calls[self._at] if 0 <= self._at < len(self.calls) else None

    def __call__(self, call: Call) -> Verdict:
        if not self._scene.watches(call):
            self.others.append(call)
            return "go on"
        number = len(self.calls)
        self.calls.append(call)
        after = 0 <= self._at < number
        if number == self._at:
            return "kill" if self._fault == "kill" else int(getattr(errno, self._fault))
        if after and (self._fault == "EROFS" or (self._fault == "ENOSPC" and call.name in _GROWING)):
            return int(getattr(errno, self._fault))
        return "go on"


def reference(command: Command, scene: Scene, account: Account) -> tuple[Reference, list[str]]:
    """Run a command without a fault; return what it left, and of which kind each of its calls is."""
    before = _fresh(command, scene)
    watch = _Watch(scene, -1, "")
    ended = scene.run(command.arguments, watch, command.program)
    if ended.code != 0:
        raise RuntimeError(f"{command.arguments}: {ended}")
    kinds = [_GRAPH.sub("GRAPH", _told(call, scene)) for call in watch.calls]
    account.points, account.kinds = len(kinds), len(set(kinds))
    account.left_out = Counter(_what(call, scene) for call in watch.others)
    made = units(command, scene.tree("place"), before)
    left = [without_chance(name) for name in scene.tree("temporary")]
    return Reference(before, made, left), kinds


def calls_of(command: Command, scene: Scene) -> list[str]:
    """Return the calls that a command makes where it may write, when nothing fails."""
    _fresh(command, scene)
    watch = _Watch(scene, -1, "")
    scene.run(command.arguments, watch, command.program)
    return [_told(call, scene) for call in watch.calls]


def campaign(
    command: Command,
    scene: Scene,
    *,
    faults: tuple[str, ...] = FAULTS,
    each: int | None = None,
    sample: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    skip: int = 0,
    only: str = "",
) -> Account:
    """Run a command with faults.

    Parameters
    ----------
    each
        Take so many calls of each kind, the last among them, the others by chance; all without it.
    sample
        Take so many of all pairs of call and fault, by chance.
    seconds
        Begin no run after so long; which were run then is a matter of chance.
    skip
        Leave out so many pairs, which an earlier run with the same seed had, and all else the same.
    only
        A regular expression, found in what an account tells of a call: take no others.
    """
    account, begun, chance = Account(), time.monotonic(), random.Random(seed)
    was = sources_of(command)
    first, kinds = reference(command, scene, account)
    if first.temporary:
        account.wrong.append(("", "no fault", f"left in the temporary folder: {first.temporary[:3]}"))
    points = range(account.points) if each is None else of_each_kind(kinds, each, chance)
    pairs = [(at, fault) for at in points if re.search(only, kinds[at]) for fault in faults]
    if sample is not None and sample < len(pairs):
        pairs = sorted(chance.sample(pairs, sample))
    if seconds is not None:
        chance.shuffle(pairs)
    pairs = pairs[skip:]
    tried: dict[object, list[str]] = {}
    for at, fault in pairs:
        if seconds is not None and time.monotonic() - begun > seconds:
            break
        for call, wrong in _once(command, scene, first, (at, fault), account, tried):
            account.wrong.append((call, fault, wrong))
    if sources_of(command) != was:
        account.wrong.append(("", "any", "a source is not as it was"))
    account.seconds = time.monotonic() - begun
    return account


def of_each_kind(kinds: list[str], each: int, chance: random.Random) -> list[int]:
    """Return which calls are tried: `each` of each kind, the last of them and others by chance."""
    places: dict[str, list[int]] = {}
    for place, kind in enumerate(kinds):
        places.setdefault(kind, []).append(place)
    found = ([*chance.sample(before, min(each - 1, len(before))), last] for *before, last in places.values())
    return sorted(place for some in found for place in some)


def _once(
    command: Command,
    scene: Scene,
    first: Reference,
    what: tuple[int, str],
    account: Account,
    tried: dict[object, list[str]],
) -> Iterator[tuple[str, str]]:
    """Run a command with one fault, then again; yield what is wrong."""
    at, fault = what
    _fresh(command, scene)
    watch = _Watch(scene, at, fault)
    ended = scene.run(command.arguments, watch, command.program)
    account.runs += 1
    call = "never reached" if watch.hit is None else _told(watch.hit, scene)
    account.ended["killed" if ended.code < 0 else f"exit {ended.code}"] += 1
    excused = fault in ("kill", "EROFS") or (watch.hit is not None and watch.hit.name in REMOVALS)
    for wrong in after_fault(command, scene, first, ended, excused):
        yield call, wrong
    for name in scene.tree("temporary"):
        if "/" not in name:
            account.left_in_temporary[without_chance(name)] += 1
    left = scene.tree("place")
    key = _state(left), _state(scene.tree("cache")), _state(scene.tree("hub"))
    if key not in tried:
        account.second_runs += 1
        again = scene.run(command.arguments, _Watch(scene, -1, ""), command.program)
        tried[key] = after_second(command, scene, first, left, again)
        for wrong in tried[key]:
            yield call, wrong


def _fresh(command: Command, scene: Scene) -> Tree:
    scene.clear()
    command.prepare(scene)
    return scene.tree("place")


def _state(found: Tree) -> tuple[tuple[str, str], ...]:
    """Return what lies in a folder, but for what is random in names of unfinished files, and for their content."""
    return tuple(sorted((without_chance(name), "" if "/." in f"/{name}" else hash_) for name, hash_ in found.items()))


def _told(call: Call, scene: Scene) -> str:
    return f"{call.name} {' '.join(without_chance(path.removeprefix(f'{scene.root}/')) for path in call.paths)}"


def _what(call: Call, scene: Scene) -> str:
    path = call.paths[0]
    if path.startswith(str(scene.root / "notes")):
        return "what is said"
    if path.startswith(("pipe:", "socket:", "anon_inode:", "/dev/", "/memfd:", "/proc/")):
        return "no files: " + path.split("[")[0].split(":")[0]
    return without_chance(path)
