"""Pictures beside a reference's and beside true ones, in pairs of the same prompt and seed."""
