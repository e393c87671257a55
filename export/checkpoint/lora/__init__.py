"""Reads LoRA files and adds them to weights, in NumPy alone. It knows neither torch nor who holds the weights."""
