"""Who does the pieces of a long job: this process, one after the other; or a cluster's nodes, see `ray_crew`.

Whoever it is, the same function does a piece, and the caller keeps each result under the piece's own name: what the
pieces come to is reduced afterwards, in their order.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar


class Piece(Protocol):
    """A piece of a job, which can be pickled."""

    @property
    def name(self) -> str:
        """For whoever watches."""
        ...


@dataclass(frozen=True)
class Site:
    """Where a job is opened.

    Attributes
    ----------
    threads
        Of its engines; None leaves it to them.
    places
        What the job needs: path where it was made -> path here, if that is another.
    """

    threads: int | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    def path(self, path: str | Path) -> Path:
        """Return where something that the job needs lies here."""
        return Path(self.places.get(str(path), path))


P = TypeVar("P", bound=Piece)
P_contra = TypeVar("P_contra", bound=Piece, contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Job(Protocol[P_contra, R_co]):
    """What is done with pieces; can be pickled."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Absolute paths of the files and folders that it reads."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that it takes at least, once open."""
        ...

    def open(self, site: Site) -> AbstractContextManager[Callable[[P_contra], R_co]]:
        """Load what it takes, and give what does a piece."""
        ...


Tell = Callable[[str, int], None]
"""Takes what is being done, and how many of the pieces are done."""


class Crew(Protocol):
    """Does jobs."""

    def run(
        self, job: Job[P, R], pieces: Iterable[P], count: int, keep: Callable[[P, R], None], tell: Tell | None = None
    ) -> None:
        """Do pieces, `count` in all, and keep the result of each, once.

        Parameters
        ----------
        pieces
            Asked for as they are needed.
        keep
            Called in this process, in any order.
        """
        ...


class Alone:
    """The crew that is this process: one piece after the other."""

    def run(
        self, job: Job[P, R], pieces: Iterable[P], count: int, keep: Callable[[P, R], None], tell: Tell | None = None
    ) -> None:
        """Do pieces, see `Crew`; nothing is loaded before there is one."""
        with ExitStack() as stack:
            work: Callable[[P], R] | None = None
            for done, piece in enumerate(pieces):
                if work is None:
                    work = stack.enter_context(job.open(Site()))
                if tell is not None:
                    tell(piece.name, done)
                keep(piece, work(piece))
