"""Applies recipes to Core ML programs."""
