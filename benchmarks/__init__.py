"""What measures and alters nothing. Metrics are NumPy only, so that every room weighs on the same scales."""
