"""Run as a script, `make reproducible`: makes the wheel twice, and a tiny checkpoint's bundle twice for each target, in
processes of their own, and ends with 1 where a byte differs. That is on one machine; on others, engines and compilers
may round the figures of parity otherwise, which the manifest tells.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: in the root, the hall's folder would hide the rooms

from amused_edge.runtime.bundle.manifest import TARGETS  # noqa: E402

SOME_DAY = "1767225600"
"""Seconds since 1970; wheels hold it as the time of their files."""


def hashes(folder: Path) -> dict[str, str]:
    """Return name -> hash of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make_wheel(folder: Path) -> None:
    """Build the wheel."""
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "build",
        "--quiet",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": SOME_DAY}, stderr=subprocess.DEVNULL)


def make_bundle(checkpoint: Path, target: str, folder: Path) -> None:
    """Export in a process of its own, whose order of sets and dictionaries is another each time."""
    size = ["--height", "8", "--width", "12", "--steps", "2", "--name", "tiny"]
    command = [sys.executable, "-m", "amused_edge", "export", str(checkpoint), str(folder / target), "--target", target]
    subprocess.run([*command, *size, "--quiet"], check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    """Make all of it twice."""
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    code = "import sys; sys.path.append(sys.argv[1]); from pathlib import Path\n"
    code += "from tests.support.checkpoints import TINY_COREML, write_checkpoint\n"
    code += "write_checkpoint(Path(sys.argv[2]), uvit=TINY_COREML)"
    subprocess.run([sys.executable, "-c", code, str(ROOT), str(out / "checkpoint")], check=True, cwd=out)
    differing = []
    for what in sys.argv[2:] or ["wheel", *TARGETS]:
        made = []
        for number in (1, 2):
            folder = out / f"{what}-{number}"
            folder.mkdir()
            make_wheel(folder) if what == "wheel" else make_bundle(out / "checkpoint", what, folder)
            made.append(hashes(folder))
        names = sorted(name for name in made[0].keys() | made[1].keys() if made[0].get(name) != made[1].get(name))
        print(f"{what}: {len(made[0])} files, {len(names)} differ{': ' if names else ''}{', '.join(names)}", flush=True)
        differing += names
    sys.exit(int(bool(differing)))


if __name__ == "__main__":
    main()
