"""What knows torch: reads a checkpoint, rebuilds it as traceable modules and writes it as the graphs of a bundle."""
