"""How numbers become few bits: uniform steps, palettes, ranges. It knows arrays, and no graph."""
