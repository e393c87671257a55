"""What others make of the same checkpoint: measured beside bundles, imported by nothing but rivals."""
