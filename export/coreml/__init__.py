"""Writes graphs for Core ML."""
