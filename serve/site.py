"""What all routes of one server share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from amused_edge.serve import limits
from amused_edge.serve.drawing.jobs import FullError, Job, Lines, Work
from amused_edge.serve.http.answers import ProblemError
from amused_edge.serve.http.files import File
from amused_edge.serve.http.guard import Rules
from amused_edge.serve.shelf import Entry, Shelf

Compute = Literal["page", "server"]
JsonObject = dict[str, "object"]


class DeviceBench(Protocol):
    """Whoever plans a benchmark of devices and keeps what they send."""

    def plan(self) -> Mapping[str, object]:
        """Return what a device does (JSON)."""
        ...

    def receive(self, results: JsonObject) -> Mapping[str, object]:
        """Keep what a device sends, in a thread of its own; return what it is told. Raises `OptionsError`."""
        ...


@dataclass
class Site:
    """One server's parts.

    Attributes
    ----------
    page
        Files by their path; empty without a page.
    compute
        Where the page draws; the API always draws here.
    bench
        None: this server takes no results of devices.
    """

    shelf: Shelf
    page: Mapping[str, File]
    rules: Rules = field(default_factory=Rules)
    compute: Compute = "page"
    bench: DeviceBench | None = None
    places: int = limits.PLACES

    def __post_init__(self) -> None:
        self.lines = Lines(list(self.shelf.entries), self.places)

    def entry(self, id: object, field: str = "bundle") -> Entry:
        """Return a bundle by its name, the first one where none is given; raises `ProblemError`."""
        if id is None:
            return next(iter(self.shelf.entries.values()))
        found = self.shelf.entries.get(id) if isinstance(id, str) else None
        if found is None:
            raise ProblemError(
                404,
                f"there is no {field} of that name; this server has: {', '.join(self.shelf.entries)}",
                code="model_not_found",
                param=field,
            )
        return found

    def enter(self, entry: Entry, work: Work) -> Job:
        """Put work into a bundle's line; raises `ProblemError` where it is full."""
        try:
            return self.lines.enter(entry.id, work)
        except FullError as error:
            raise ProblemError(
                429,
                f"{self.places} requests wait for this bundle already; come again in a moment",
                code="queue_full",
                headers={"retry-after": "5"},
            ) from error
