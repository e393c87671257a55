"""A bundle on disk: its manifest, reading, writing and verifying it. It knows no engine."""
