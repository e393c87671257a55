"""`generate --cache` and `cache`: what is kept, shown and removed."""

import re
from pathlib import Path

from tests.hall.test_cli import run


def test_graphs_are_kept_shown_and_removed(demo_bundle: Path, tmp_path: Path) -> None:
    draw = ("generate", demo_bundle, "a fox", "--steps", "2", "--quiet")
    pictures = []
    for index, options in enumerate(((), ("--cache",), ("--cache",), ("--cache", "--low-memory"))):
        result = run(*draw, *options, "-o", f"{index}.png", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        pictures.append((tmp_path / f"{index}.png").read_bytes())
    assert len(set(pictures)) == 1
    shown = run("cache", cwd=tmp_path).stdout.splitlines()
    assert len(shown) == 5
    assert all("fp32" in line and "onnxruntime" in line and "used 20" in line for line in shown[:4])
    sizes = [float(re.match(r" *([\d.]+) MB", line)[1]) for line in shown]  # type: ignore[index]
    assert abs(sum(sizes[:4]) - sizes[4]) < 0.3
    assert shown[4].endswith("4 graphs")
    removed = run("cache", "--clear", cwd=tmp_path)
    assert removed.stdout.splitlines()[-1].endswith("4 graphs removed")
    assert run("cache", cwd=tmp_path).stdout == "      0.0 MB  0 graphs\n"


def test_nothing_is_kept_unasked(demo_bundle: Path, tmp_path: Path) -> None:
    run("generate", demo_bundle, "a fox", "--steps", "1", "--quiet", "-o", "a.png", cwd=tmp_path)
    assert run("cache", cwd=tmp_path).stdout.endswith("0 graphs\n")
