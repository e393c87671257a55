"""Planted faults: which mutants there are, what each changes, which change no more than texts, and what was found."""

import ast
import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOUND = ("killed", "timeout", "suspicious", "segfault")
"""What a mutation tester says of what a test finds."""

_SURVIVED = ("survived", "no tests", "nocoverage")

HEAD = "| module | planted | tried | equal in effect | found | share found |\n" + "|---" * 6 + "|"

_GENERATED = re.compile(r"^(?P<function>x.+)__mutmut_(?P<number>orig|\d+)$")


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Attributes
    ----------
    name
        As mutmut says it.
    module
        Below the package, with dots.
    change
        The function's name, and the lines that differ, as `ast.unparse` prints them: the same however the source is
        laid out and the faults are numbered.
    only_texts
        No more than what strings say, or what an error is raised with, is another.
    """

    name: str
    module: str
    change: str
    only_texts: bool


def mutants_of(folder: Path, package: str) -> Iterator[Mutant]:
    """Yield all mutants in mutmut's copy of a package, `folder`/`package`."""
    for file in sorted((folder / package).rglob("*.py")):
        if "__mutmut_orig" in (source := file.read_text(encoding="utf-8")):
            module = ".".join(file.relative_to(folder / package).with_suffix("").parts)
            yield from _of_module(module, package, ast.parse(source))


def _of_module(module: str, package: str, tree: ast.Module) -> Iterator[Mutant]:
    functions: dict[str, dict[str, ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (found := _GENERATED.match(node.name)):
            functions.setdefault(found["function"], {})[found["number"]] = node
            node.name = "f"
    for function, versions in functions.items():
        original = versions.pop("orig")
        for number, mutant in versions.items():
            change = f"{module}.{function.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}\n"
            change += "\n".join(_differing(ast.unparse(original), ast.unparse(mutant)))
            same = _without_texts(original) == _without_texts(mutant)
            yield Mutant(f"{package}.{module}.{function}__mutmut_{number}", module, change, same)


def _differing(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [f"{line[0]} {line[1:].strip()}" for line in lines if re.match(r"[+-](?![+-]{2})", line)]


def _without_texts(function: ast.AST) -> str:
    return ast.dump(_Texts().visit(ast.parse(ast.unparse(function))))


class _Texts(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return self.generic_visit(node)


def equal_in_effect(file: Path) -> dict[str, str]:
    """Read a file of changes that make no difference -> why: blocks of a `Mutant.change`, its last line `= reason`."""
    found = {}
    for block in re.split(r"\n{2,}", file.read_text(encoding="utf-8").strip()) if file.exists() else []:
        change, _, reason = block.partition("\n= ")
        if not reason:
            raise ValueError(f"{file}: no reason is given for\n{block}")
        found[change] = reason
    return found


def judge(planted: list[Mutant], became: dict[str, str], equal: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return rows of the table, and the survivors."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for mutant in planted:
        how = what = became.get(mutant.name, "not tried")
        if mutant.change in equal and how in ("timeout", *_SURVIVED):  # what only takes longer may do so beyond a limit
            what = "equal"
        elif how in _SURVIVED:
            what = "survived"
        elif how in FOUND:
            what = "found"
        counts[mutant.module][what] += 1
        if what == "survived":
            survivors.append(f"# {mutant.name} ({how})\n{mutant.change}")
    return [row(module, each) for module, each in sorted(counts.items())] + [
        row("all of it", sum(counts.values(), Counter()))
    ], survivors


def row(name: str, counts: Counter[str]) -> str:
    """Return a line of the table."""
    tried = counts["found"] + counts["survived"] + counts["equal"]
    asked = tried - counts["equal"]
    share = f"{counts['found'] / asked:.1%}" if asked else "-"
    return f"| {name} | {counts.total()} | {tried} | {counts['equal']} | {counts['found']} | {share} |"
