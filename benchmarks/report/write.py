"""The files of a report."""

import json
from collections.abc import Mapping
from typing import Any

from amused_edge.benchmarks.report.document import Document
from amused_edge.benchmarks.report.html import to_html
from amused_edge.benchmarks.report.markdown import files_beside, to_markdown
from amused_edge.benchmarks.report.run_folder import RESULTS_NAME

SCHEMA_VERSION = 1
FORMAT = "amused-edge benchmark"


def report_files(kind: str, results: Mapping[str, Any], document: Document) -> dict[str, str | bytes]:
    """Return name -> content: `results.json`, `report.md` with the files it shows, `report.html`.

    Parameters
    ----------
    kind
        "latency", "quality", "compare", "search", "devices" or "rivals".
    results
        JSON; numbers that are not finite become null.
    """
    head = {"schema_version": SCHEMA_VERSION, "format": FORMAT, "kind": kind}
    text = json.dumps(_finite({**head, **results}), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return {
        RESULTS_NAME: text,
        "report.md": to_markdown(document),
        "report.html": to_html(document),
        **files_beside(document),
    }


def _finite(value: Any) -> Any:
    """Return a value without infinities and NaN, which JSON has no words for."""
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
