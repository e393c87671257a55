"""Exports of one process do once what torch does for each graph, and leave out what no test looks at."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest


@contextmanager
def quick_torch() -> Iterator[None]:
    """Remember the signatures of torchlib's functions, which `torch.onnx.export` else reads from their source for every
    graph (500 functions, a third of a second), and that torch has listed its operators; and note of no operator which
    lines of source it comes from. Together a tenth of a small export, which files of tests make by the dozen.
    """
    import torch._export.utils
    import torch.fx.proxy
    from onnxscript.values import TracedOnnxFunction

    remembered = functools.cached_property(TracedOnnxFunction.function_ir.fget)
    remembered.__set_name__(TracedOnnxFunction, "function_ir")
    no_lines = SimpleNamespace(extract=lambda: SimpleNamespace(summary=list))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TracedOnnxFunction, "function_ir", remembered)
        listed = functools.cache(torch._export.utils._materialize_cpp_cia_ops)
        patch.setattr(torch._export.utils, "_materialize_cpp_cia_ops", listed)
        patch.setattr(torch.fx.proxy, "CapturedTraceback", no_lines)
        yield
