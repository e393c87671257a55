"""Bundles, step counts and guidance scales together: which of them nothing else beats."""
