"""Fixtures of the ports' tests: the npm package and what its tests run, compiled."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.made_once import made_once
from tests.support.paths import ROOT, WEB


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the package and what its tests run: (folder of build/)."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("npm, with which apps/web is built, is missing")

    def build(_: Path) -> Path:
        installed = subprocess.run(
            ["make", "apps/web/node_modules/.made"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if installed.returncode:
            pytest.skip(f"npm cannot install what apps/web is built with: {installed.stderr[-300:]}")
        subprocess.run(["make", "apps/web/build/.made"], cwd=ROOT, check=True)
        return WEB / "build"

    return made_once(tmp_path_factory, "web", build)
