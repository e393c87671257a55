"""A web server over bundles: their files, a page, an API that draws; it knows no checkpoints and no quantization."""
