"""Applies recipes to Core AI packages."""
