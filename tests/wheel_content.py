"""Run as a script on a built wheel: it must hold every tracked source file of the package, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOMS = {"runtime", "export", "benchmarks", "quantization", "conformance", "serve"}


def expected() -> set[str]:
    """Package paths of all tracked sources."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.typed", "benchmarks/*.html", "benchmarks/*.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = set()
    for name in tracked.stdout.splitlines():
        room = Path(name).parts[0]
        if room in ROOMS:
            found.add(f"amused_edge/{name}")
        elif room == "amused_edge":
            found.add(name)
    built = (path for path in Path("serve/page").rglob("*") if path.is_file())  # by `make studio`, where npm is
    return found | {f"amused_edge/{path.as_posix()}" for path in built}


def main(wheel: str) -> None:
    """Compare and exit with 1 on a difference."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    missing, extra = expected() - held, held - expected()
    if missing or extra:
        sys.exit(f"{wheel}: missing {sorted(missing)}, unexpected {sorted(extra)}")
    print(f"{wheel}: {len(held)} source files, {Path(wheel).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
