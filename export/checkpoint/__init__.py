"""Reads a checkpoint in diffusers layout, from a folder or the hub. It knows no target."""
