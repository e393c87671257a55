"""What is asked for and what comes of it: tasks, parameters, states, results. It draws nothing."""
