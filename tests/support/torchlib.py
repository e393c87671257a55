"""Exports of one process read torch's library of ONNX functions once."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def torchlib_read_once() -> Iterator[None]:
    """Remember the signatures of torchlib's functions, which `torch.onnx.export` else reads from their source for every
    graph: 500 functions, a third of a second.
    """
    from onnxscript.values import TracedOnnxFunction

    remembered = functools.cached_property(TracedOnnxFunction.function_ir.fget)
    remembered.__set_name__(TracedOnnxFunction, "function_ir")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TracedOnnxFunction, "function_ir", remembered)
        yield
