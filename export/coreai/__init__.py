"""Writes graphs for Core AI; it knows no other target."""
