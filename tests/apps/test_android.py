"""The Kotlin library's sources: what no compiler checks. What it does is tested by `make android`."""

import re
import tomllib
from pathlib import Path

from tests.support.paths import ROOT

LIBRARY = ROOT / "apps" / "android" / "library" / "src"
EXAMPLES = LIBRARY / "test" / "kotlin" / "ai" / "amusededge" / "examples"
MAIN = LIBRARY / "main" / "kotlin" / "ai" / "amusededge"
SOURCES = sorted((ROOT / "apps" / "android").rglob("*.kt"))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def without_head(source: str) -> str:
    """A file without its package, and without its imports where the guide leaves them out."""
    return source.split("\n\n", 1)[1].strip()


def test_listings_of_the_guide_are_compiled_files() -> None:
    listings = re.findall(r"```kotlin\n(.*?)```", read(ROOT / "docs" / "android.md"), re.DOTALL)
    compiled = {without_head(read(path)) for path in EXAMPLES.glob("*.kt")}
    kept = [listing.strip() for listing in listings]
    assert len(kept) == len(compiled) == 3
    assert set(kept) == compiled


def test_sources_have_kotlins_style() -> None:
    assert len(SOURCES) > 40
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(read(path).split("\n"), 1)
        if len(line) > 120 or line != line.rstrip() or "\t" in line
    ]
    assert wrong == []
    assert [path for path in SOURCES if not read(path).endswith("\n") or read(path).endswith("\n\n")] == []
    assert [path.name for path in MAIN.rglob("*.kt") if read(path).count("\n") > 300] == []


def test_rooms_of_the_library_have_doors() -> None:
    """The sampler knows no engine, no room knows Android, and only one class knows ONNX Runtime."""
    knows = {path: re.findall(r"^import ([\w.]+)", read(path), re.MULTILINE) for path in MAIN.rglob("*.kt")}
    for path, imports in knows.items():
        room = path.parent.name
        allowed = ("java.", "kotlin.", "ai.amusededge.") + (("ai.onnxruntime.",) if room == "ort" else ())
        assert [name for name in imports if not name.startswith(allowed)] == [], path
        assert not any(name.startswith(("ai.amusededge.support", "ai.amusededge.examples")) for name in imports), path
        ours = {name.split(".")[2] for name in imports if re.match(r"ai\.amusededge\.[a-z]", name)}
        unknown = {
            "sampling": {"engines", "drawing", "tasks", "pictures", "benchmark"},
            "pictures": {"engines", "drawing", "tasks", "sampling", "bundle", "benchmark"},
            "bundle": {"engines", "drawing", "tasks", "pictures", "benchmark"},
            "tasks": {"engines", "drawing", "benchmark"},
            "engines": {"drawing", "tasks", "pictures", "benchmark"},
            "drawing": {"benchmark"},
        }.get(room, set())
        assert not {name for name in ours & unknown if not name.endswith(("checkText", "wholeNumber"))}, path


def test_characters_are_the_npm_packages() -> None:
    """Those are compared with the tokenizers library."""

    def classes(text: str, start: str) -> list[str]:
        return ["".join(part.split('"')[1::2]) for part in text.split(start)[1:]]

    kotlin = classes(read(MAIN / "drawing" / "UnicodeRanges.kt"), "const val")
    web = classes(read(ROOT / "apps" / "web" / "src" / "drawing" / "unicode-ranges.ts"), "export const")
    assert len(kotlin) == 2
    assert kotlin == web


def test_the_library_has_the_packages_version() -> None:
    version = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    assert f'version = "{version}"' in read(ROOT / "apps" / "android" / "library" / "build.gradle.kts")
    assert f'versionName = "{version}"' in read(ROOT / "apps" / "android" / "app" / "build.gradle.kts")
    assert f"ai.amusededge:amused-edge:{version}" in read(ROOT / "docs" / "android.md")
