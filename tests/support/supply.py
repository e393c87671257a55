"""What is shipped along, or installed with it, and under which licences."""

import json
import re
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from tests.support.paths import ROOT

FREE = re.compile(
    r"apache|\bbsd\b|\bmit\b|mit-cmu|\bisc\b|python software foundation|\bpsf|mpl|mozilla public|hpnd|zlib|unlicense"
    r"|0bsd|cc0|public domain",
    re.IGNORECASE,
)
"""Licences that ask for no more than their own text, or (MPL) for changes of their own files. Of wheels that hold other
libraries, their own is told here: PyAV's, of the extra video, holds FFmpeg with x264 (GPL), and is not shipped by us.
"""

EXTRAS = ("export", "lora", "quantize", "coreml", "video", "bench", "serve", "tls")
"""But coreai, whose licence is Apple's own; its users accept it when they install it."""


NEEDS_A_GPU = re.compile(r"(nvidia|cuda)-|triton(==|$)")
"""What PyPI's PyTorch wants on Linux, under NVIDIA's own licence in part. Nothing here uses it, and a build of PyTorch
for CPUs brings none of it.
"""


def packages() -> dict[str, str]:
    """Return name -> licence of all that this package and its extras install, as far as it is installed here, without
    what needs a GPU.
    """
    found: dict[str, str] = {}
    waiting = [_name(each) for each in requires("amused-edge") or () if _wanted(each)]
    while waiting:
        name = waiting.pop()
        if name in found or NEEDS_A_GPU.match(name):
            continue
        try:
            metadata = distribution(name).metadata
        except PackageNotFoundError:  # for another system
            continue
        told = metadata.get("License-Expression") or metadata.get("License") or ""
        classifiers = [each for each in metadata.get_all("Classifier") or () if each.startswith("License")]
        found[name] = f"{told.splitlines()[0] if told else ''} {' '.join(classifiers)}".strip()
        waiting += [_name(each) for each in requires(name) or () if "extra ==" not in each]
    return found


def hashed(requirements: Path) -> dict[str, tuple[str, list[str]]]:
    """Return name -> version and hashes of a file of requirements."""
    text = requirements.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.finditer(r"^([A-Za-z0-9._-]+)==([^ ;]+)(.*)$", text, re.MULTILINE)
    return {normal(each[1]): (each[2], re.findall(r"--hash=(\S+)", each[3])) for each in found}


def normal(name: str) -> str:
    """Return the name of a package as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted(requirement: str) -> bool:
    extra = re.search(r"extra == ['\"]([^'\"]+)", requirement)
    return extra is None or extra[1] in EXTRAS


def _name(requirement: str) -> str:
    return normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def locked() -> dict[str, dict[str, object]]:
    """Return the npm packages of the lock file, by their folder."""
    content = json.loads((ROOT / "apps" / "web" / "package-lock.json").read_text())
    return {name: each for name, each in content["packages"].items() if name}


def shipped_by_the_page() -> set[str]:
    """Return the npm packages that the page holds: what the package needs to run, and the browser's engine."""
    needed = {name.removeprefix("node_modules/") for name, each in locked().items() if not each.get("dev")}
    return needed | {"onnxruntime-web", "onnxruntime-common"}
