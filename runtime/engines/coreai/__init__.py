"""Runs Core AI packages, and reads what they hold."""
