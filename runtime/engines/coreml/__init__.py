"""A reference evaluator of Core ML programs: reads a saved `.mlpackage` and computes it in NumPy, on any system.

It says what a program computes, not what a phone makes of it: results are *simulated*.
"""
