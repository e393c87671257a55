"""What changes weights, never meaning: bundle -> bundle."""
