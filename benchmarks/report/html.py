"""A document as one page that needs nothing else: styles, drawings and pictures stand in it."""

import base64
from importlib.resources import files

import jinja2

from amused_edge.benchmarks.report.document import Document, Flag, Photo, Plot, Table, Text


def to_html(document: Document) -> str:
    """Return the text of `report.html`."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["bare_svg"] = lambda svg: svg[svg.index("<svg") :]  # without the prologue of a file
    kinds = {Text: "text", Table: "table", Plot: "plot", Photo: "photo"}
    environment.filters["warns"] = lambda cell: isinstance(cell, Flag)
    environment.filters["kind"] = lambda block: kinds[type(block)]
    template = files("amused_edge.benchmarks.report").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(document=document)
