"""Every line of the threat model names a test, and there is one of that name."""

import re

from tests.support.paths import ROOT


def test_every_test_that_is_named_is_there() -> None:
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if "---" not in row and not row.endswith("| test |")]
    assert len(rows) > 25
    assert [row for row in rows if "`test_" not in row.rsplit("|", 2)[1]] == []
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text()))
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for source in sources for name in re.findall(r"def (test_\w+)", source)}
    assert named - there == set()
