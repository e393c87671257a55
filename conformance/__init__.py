"""Vectors that every runtime must reproduce, made and checked by this one. It knows the runtime alone."""
