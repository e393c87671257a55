"""How Sphinx builds the site: `make docs`. The sources are the Markdown files of the whole repository."""

import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

project = "amused-edge"
author = "the amused-edge authors"
version = release = installed("amused-edge")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]
root_doc = "docs/index"
include_patterns = ["docs/**", "demo/**", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
include_patterns += ["conformance/README.md"]
exclude_patterns = [".*", "build", "docs/sidebar.md", "docs/site"]

myst_heading_anchors = 4  # as on GitHub
highlight_language = "text"  # of blocks that name no language: commands, which no lexer colours well

# What only conversion and measuring need is not installed for the site.
autodoc_mock_imports = [
    "torch",
    "transformers",
    "safetensors",
    "huggingface_hub",
    "yaml",
    "onnx",
    "onnxscript",
    "onnx_ir",
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 100
numpydoc_show_class_members = False

# In docstrings, `name` links to what the name stands for, where the site has it.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    ("py:class", r"(numpy|collections|pathlib|PIL|os)\..*"),  # what others document
    ("py:class", r"amused_edge\.(export\.target\.ExportTarget|runtime\.bundle\.measurements\.\w+)"),  # not on the page
]

html_theme = "furo"
html_title = "amused-edge"
html_extra_path = ["site"]  # sends the site's root to its index
html_show_copyright = False


def add_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    """The sidebar's trees belong to the first page; they stand elsewhere because GitHub shows them as text."""
    if page == root_doc:
        source[0] += Path(__file__).with_name("sidebar.md").read_text(encoding="utf-8")


def shorten_arrays(*event: Any) -> tuple[str | None, ...]:
    """Signatures say `NDArray[uint8]`, as the sources do, and not what that stands for."""
    whole = r"~?numpy\.ndarray\[tuple\[.*?\], ~?numpy\.dtype\[(.*?)\]\]"
    return tuple(text and re.sub(whole, r"~numpy.typing.NDArray[\1]", text) for text in event[-2:])


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", add_sidebar)
    app.connect("autodoc-process-signature", shorten_arrays)
