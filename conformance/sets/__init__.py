"""The sets that need no graph: what is given in each case, and which functions of the runtime answer."""
