"""How Sphinx builds the site: `make docs`. The sources are the Markdown files of the whole repository."""

from importlib.metadata import version as installed

project = "amused-edge"
author = "the amused-edge authors"
version = release = installed("amused-edge")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]
root_doc = "docs/front"  # the index, with the sidebar's trees: GitHub would show these as text
include_patterns = ["docs/**", "demo/**", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = [".*", "build", "docs/index.md", "docs/site"]

myst_heading_anchors = 4  # as on GitHub

# What only conversion and measuring need is not installed for the site.
autodoc_mock_imports = ["torch", "transformers", "safetensors", "huggingface_hub", "yaml", "onnx", "onnxscript", "onnx_ir"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 100
add_module_names = False
numpydoc_show_class_members = False

# In docstrings, `name` links to what the name stands for, where the site has it.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    ("py:class", r"(numpy|collections|pathlib|PIL|os)\..*"),  # what others document
    ("py:class", r"amused_edge\.(export\.target\.Target|runtime\.bundle\.measurements\.\w+)"),  # not on the page
]

html_theme = "furo"
html_title = "amused-edge"
html_extra_path = ["site"]  # sends the site's root to its index
html_show_copyright = False
