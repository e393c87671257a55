"""What a port's report says: one line per set of vectors, `PASS name n/n`, and the same as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from amused_edge.runtime.errors import one_line

FORMAT, VERSION = "amused-edge conformance report", 1


@dataclass(frozen=True)
class SetReport:
    """How a runtime did on one set.

    Attributes
    ----------
    status
        "PASS", "FAIL", or "SKIP" where the runtime does not do what the set is about, or lacks what it needs.
    passed, cases
        How many cases passed, of how many.
    near_ties
        Decisions that went otherwise where the vectors say that they were near; they do not count against it.
    reason
        Of a SKIP; of a FAIL the first difference.
    """

    set: str
    status: str
    passed: int
    cases: int
    near_ties: int = 0
    reason: str = ""

    @staticmethod
    def of(name: str, cases: list[tuple[list[str], int]]) -> "SetReport":
        """Return the report of a set from the differences and near-ties of each case."""
        failed = [(case, lines) for case, (lines, _) in enumerate(cases) if lines]
        reason = f"case {failed[0][0]}: {failed[0][1][0]}" if failed else ""
        near_ties = sum(near for _, near in cases)
        return SetReport(name, "FAIL" if failed else "PASS", len(cases) - len(failed), len(cases), near_ties, reason)

    @staticmethod
    def skipped(name: str, cases: int, reason: str) -> "SetReport":
        """Return the report of a set that was not run."""
        return SetReport(name, "SKIP", 0, cases, 0, reason)

    def line(self) -> str:
        """Return the set's line."""
        line = f"{self.status} {self.set} {self.passed}/{self.cases}"
        if self.near_ties:
            line += f" ({self.near_ties} near-tie{'s' if self.near_ties > 1 else ''})"
        return one_line(f"{line}: {self.reason}" if self.reason else line)


@dataclass(frozen=True)
class Report:
    """How a runtime did on all of them.

    Attributes
    ----------
    runtime
        What was tried, for people: the runtime and its version, the engine and its version, the system.
    """

    runtime: dict[str, str]
    sets: list[SetReport] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether any set failed."""
        return any(one.status == "FAIL" for one in self.sets)

    def lines(self) -> list[str]:
        """Return the lines of the report; the last one counts the sets."""
        counts = {status: sum(one.status == status for one in self.sets) for status in ("PASS", "FAIL", "SKIP")}
        total = ", ".join(f"{count} {status}" for status, count in counts.items())
        return [*(one.line() for one in self.sets), f"{len(self.sets)} sets: {total}"]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}
