"""Results of any runtime's benchmark, read strictly and shown beside each other. It measures and runs nothing."""
