"""Subjects on another machine than the one that named them: where their bundles lie there, and on how many threads."""

from collections.abc import Sequence

from amused_edge.benchmarks.cluster.crew import Site
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec, make_subject

_PATHS = ("path", "embeddings")
"""Arguments that are paths."""


def needed(specs: Sequence[SubjectSpec]) -> tuple[str, ...]:
    """Return the files and folders that subjects read, each once."""
    paths = [spec.arguments[name] for spec in specs for name in _PATHS if spec.arguments.get(name) is not None]
    return tuple(dict.fromkeys(paths))


def made_at(spec: SubjectSpec, site: Site) -> Subject:
    """Make the subject of a spec at a site; threads that it was given itself come first."""
    arguments = dict(spec.arguments)
    for name in _PATHS:
        if arguments.get(name) is not None:
            arguments[name] = str(site.path(arguments[name]))
    if site.threads is not None:
        arguments["engine"] = {"threads": site.threads, **(arguments.get("engine") or {})}
    return make_subject(spec.target, arguments)
