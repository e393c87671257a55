"""Where what is installed and shipped comes from, and its licences. `make supply` also asks for known faults."""

import re

import pytest

from tests.support.paths import ROOT
from tests.support.supply import FREE, hashed, locked, normal, packages, shipped_by_the_page

ELSEWHERE = {"optimum", "ray"}
"""Installed only where they are tried, in environments of their own."""


def test_every_licence_is_free() -> None:
    """Of all that an installation with extras brings."""
    found = packages()
    assert len(found) > 30
    assert {name: told for name, told in found.items() if not FREE.search(told)} == {}


def test_npm_packages_are_pinned_by_hash() -> None:
    """`npm ci` refuses whatever does not have it; nothing comes from an address of its own."""
    for name, each in locked().items():
        assert str(each["integrity"]).startswith("sha512-"), name
        assert "resolved" not in each, name


def test_every_version_that_is_tested_is_one() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[^ ]+( ;.*)?", line)] == []


def constrained() -> dict[str, str]:
    """Return name -> version of what is tested."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {
        normal(name): version for name, version in (line.split(" ")[0].split("==") for line in lines if "==" in line)
    }


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_what_is_installed_is_pinned_by_hash(name: str) -> None:
    """`pip --require-hashes` refuses whatever else comes; versions are those of constraints.txt."""
    chosen = constrained()
    listed = hashed(ROOT / name)
    assert len(listed) > 20
    for package, (version, hashes) in listed.items():
        assert chosen.get(package, version) == version, package
        assert hashes, package
        assert [each for each in hashes if not re.fullmatch("sha256:[0-9a-f]{64}", each)] == [], package


def test_nothing_that_is_needed_is_missing_from_the_list() -> None:
    listed = hashed(ROOT / "requirements-dev.txt")
    assert set(packages()) <= set(listed)
    assert set(constrained()) - set(listed) == ELSEWHERE
    assert set(hashed(ROOT / "requirements.txt")) <= set(listed)


def test_the_page_tells_the_licences_of_all_that_it_holds() -> None:
    """The build's own list, beside what the lock file says is not for development only."""
    build = (ROOT / "apps" / "web" / "studio" / "build.mjs").read_text()
    listed = re.search(r"for \(const name of \[([^\]]+)\]\)", build)
    assert listed is not None
    assert set(re.findall(r'"([^"]+)"', listed[1])) == shipped_by_the_page()
