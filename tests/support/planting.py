"""What the testers of planted faults share: their options, which faults are tried, what was found before, the table."""

import argparse
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.support.mutants import FOUND, HEAD, Mutant, equal_in_effect, judge

Tried = tuple[list[Mutant], dict[str, str]]
"""All mutants of a group, and what became of those that were tried, by name."""


def options(description: str | None, groups: Iterable[str]) -> argparse.ArgumentParser:
    """Return what reads the options that all have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("groups", nargs="*", choices=[*groups, []], help="all if none is given")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", type=int, help="so many mutants of each group, by chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--again", action="store_true", help="only what was not found the last time; nothing else changed"
    )
    return parser


def to_try(planted: list[Mutant], results: Path, chosen: argparse.Namespace) -> Tried:
    """Return which mutants are tried, and of which of them it is known that the last run found them."""
    tried = planted
    if chosen.sample is not None and chosen.sample < len(planted):
        tried = random.Random(chosen.seed).sample(planted, chosen.sample)
    if not chosen.again:
        return tried, {}
    before = json.loads(results.read_text())
    return tried, {each.name: before[each.change] for each in tried if before.get(each.change) in FOUND}


def keep_results(results: Path, tried: list[Mutant], became: dict[str, str]) -> None:
    """Write down what became of each change: of equal lines, the one that was not found."""
    found_first = sorted(tried, key=lambda each: became[each.name] not in FOUND)
    results.write_text(json.dumps({each.change: became[each.name] for each in found_first}, indent=1))


def tell(groups: Iterable[str], run: Callable[[str], Tried], equal: Path, place: Path) -> None:
    """Try groups, print a table of each, and write what survived to a folder."""
    known = equal_in_effect(equal)
    print(HEAD, flush=True)
    for group in groups:
        rows, survivors = judge(*run(group), known)
        file = place / f"{group}-survivors.txt"
        file.write_text("\n\n".join(survivors) + "\n")
        print("\n".join(rows), f"  {group}: {len(survivors)} survived: {file}", sep="\n", flush=True)
