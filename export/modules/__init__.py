"""aMUSEd's networks as torch modules made to be traced; each takes its weights from a `Tensors` view in its
constructor.
"""
