"""The API described for people: the same description as one plain page, without script and without style."""

import json
from html import escape
from typing import Any

from amused_edge.serve.api.openapi import Schema, description
from amused_edge.serve.site import Site


def api_page(site: Site) -> str:
    """Return the page as HTML."""
    told = description(site)
    parts = [
        f"<h1>{escape(told['info']['title'])} {escape(told['info']['version'])}</h1>",
        f"<p>{escape(told['info']['description'])} For programs: <a href='/openapi.json'>openapi.json</a>.</p>",
    ]
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>")
            parts += [_fields(schema, told) for schema in _bodies(operation)]
            answers = "".join(
                f"<li>{code}: {escape(each['description'])}" for code, each in operation["responses"].items()
            )
            parts.append(f"<ul>{answers}</ul>")
    head = "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    return f"{head}<title>amused-edge serve: the API</title><main>{''.join(parts)}</main></html>"


def _bodies(operation: Schema) -> list[Schema]:
    """Return the schemas of a body: one, or each of which it may be one."""
    found = []
    for each in operation.get("requestBody", {}).get("content", {}).values():
        found += each["schema"].get("oneOf", [each["schema"]])
    return found


def _fields(schema: Schema, told: Schema) -> str:
    """Return the fields of a body as a table."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if not name:
        return ""
    found = told["components"]["schemas"][name]
    rows = "".join(
        f"<tr><th scope='row'><code>{escape(field)}</code><td>{'needed' if field in found['required'] else ''}"
        f"<td><code>{escape(_plain(each))}</code>"
        for field, each in found["properties"].items()
    )
    return f"<table><caption>{escape(name)}</caption>{rows}</table>"


def _plain(schema: Any) -> str:
    return json.dumps(schema, ensure_ascii=False)
