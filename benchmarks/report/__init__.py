"""One document, three forms: Markdown, a self-contained page, and plots; results in JSON stand beside them."""
