"""Core AI: Apple's own runtime of `.aimodel` packages, in a process of its own for each graph.

That process alone meets native code: what aborts there is an error here, what it holds is free when it ends, and
whoever calls may run an event loop, fork or be interrupted.
"""
