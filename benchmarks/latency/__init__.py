"""Time and memory: each subject in processes of its own, all of them in turns."""
