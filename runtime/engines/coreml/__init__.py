"""Core ML: the engine itself, on a Mac, and a reference evaluator, which computes a saved `.mlpackage` in NumPy, on any
system. The evaluator says what a program computes, not what a phone makes of it: results are *simulated*.
"""
