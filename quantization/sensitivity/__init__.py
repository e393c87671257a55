"""Which weights a model can do without the bits of, and recipes mixed from that."""
