"""Subjects on another machine than the one that named them: where their bundles lie there, and on how many threads."""

from collections.abc import Sequence

from amused_edge.benchmarks.cluster.crew import Site
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec, make_subject
from amused_edge.runtime.hub.address import address_unless_here

_PATHS = ("path", "embeddings")
"""Arguments that are paths; in place of one may stand a bundle's address on the hub, in one commit, which each machine
fetches by itself.
"""


def needed(specs: Sequence[SubjectSpec]) -> tuple[str, ...]:
    """Return the files and folders that subjects read, each once."""
    return tuple(dict.fromkeys(path for spec in specs for path in _here(spec).values()))


def made_at(spec: SubjectSpec, site: Site) -> Subject:
    """Make the subject of a spec at a site; threads that it was given itself come first."""
    arguments = dict(spec.arguments)
    arguments |= {name: str(site.path(path)) for name, path in _here(spec).items()}
    if site.threads is not None:
        arguments["engine"] = {"threads": site.threads, **(arguments.get("engine") or {})}
    return make_subject(spec.target, arguments)


def _here(spec: SubjectSpec) -> dict[str, str]:
    """Return the arguments that are paths on this machine."""
    given = {name: spec.arguments.get(name) for name in _PATHS}
    return {name: path for name, path in given.items() if path is not None and address_unless_here(path) is None}
