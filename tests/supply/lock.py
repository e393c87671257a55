"""Run as a script, `make lock`: writes what `make` installs, and what the runtime alone needs, with the hashes of every
file that an index has of these versions, for all platforms.

uv resolves for platforms other than this one too. Of PyTorch, an index for CPUs has files of the same version by
another label; they are accepted beside PyPI's. What PyPI's PyTorch wants of NVIDIA on Linux is left out: it is
gigabytes, and nothing here uses it; where it is wanted, pip adds it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: in the root, the hall's folder would hide the rooms

from tests.support.supply import NEEDS_A_GPU  # noqa: E402

LOCKS = {
    "requirements.txt": ["pyproject.toml"],
    "requirements-dev.txt": ["pyproject.toml", "--extra", "dev"],
    "tests/supply/pip.txt": ["tests/supply/pip.in"],
}
"""Name -> of what. The last installs the others."""

HEADER = "# Made by `make lock` of pyproject.toml and constraints.txt.\n"


def resolved(uv: str, of: list[str]) -> list[str]:
    """Return what uv says, one text for each package, with its hashes on further lines."""
    command = [uv, "pip", "compile", *of, "-c", "constraints.txt", "--universal", "--generate-hashes"]
    command += ["--python-version", "3.11", "--no-annotate", "--no-header", "--quiet"]
    for folder in os.environ.get("PIP_FIND_LINKS", "").split():
        command += ["--find-links", folder]
    told = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout
    return re.split(r"\n(?=\S)", told.strip())


def plain(packages: list[str]) -> list[str]:
    """Return the packages without a GPU's, and PyTorch once."""
    kept = [package for package in packages if not NEEDS_A_GPU.match(package)]
    torch = [package for package in kept if package.startswith("torch==")]
    if not torch:
        return kept
    version = re.match(r"torch==[\d.]+", torch[0])
    hashes = sorted(set(re.findall(r"--hash=\S+", "\n".join(torch))))
    if version is None or not hashes:
        raise SystemExit(f"no version and hashes of torch: {torch[0]}")
    merged = " \\\n    ".join([version[0], *hashes])
    return sorted([*(package for package in kept if package not in torch), merged])


def main() -> None:
    """Write all files."""
    for name, of in LOCKS.items():
        packages = plain(resolved(sys.argv[1], of))
        (ROOT / name).write_text(HEADER + "\n".join(packages) + "\n")
        print(f"{name}: {len(packages)} packages")


if __name__ == "__main__":
    main()
