"""What others make of the same checkpoint: measured beside bundles, never imported by anything else."""
