"""Bundles, requests and the jobs that draw them, one at a time; it knows no HTTP."""
