"""Every target that a checkpoint can be exported for, in one table: name -> what writes its graphs."""

from collections.abc import Callable
from typing import Any

from amused_edge.export.errors import ExportError
from amused_edge.export.target import ExportTarget
from amused_edge.runtime.errors import quoted


def make_target(name: str, **options: Any) -> ExportTarget:
    """Return a target.

    Parameters
    ----------
    options
        Of `OnnxTarget`, `CoreMLOptions` or `CoreAIOptions`; what is left open has its default.

    Raises
    ------
    ExportError
        There is no such target, or a value that an option cannot have.
    """
    if name not in _TARGETS:
        raise ExportError(f"target is {quoted(name)}; this amused-edge exports to: {', '.join(_TARGETS)}")
    return _TARGETS[name](**options)


def _onnx(**options: Any) -> ExportTarget:
    from amused_edge.export.onnx.target import OnnxTarget

    return OnnxTarget(**options)


def _coreml(**options: Any) -> ExportTarget:
    from amused_edge.export.coreml.target import CoreMLTarget
    from amused_edge.export.coreml.write import CoreMLOptions

    return CoreMLTarget(CoreMLOptions(**options))


def _coreai(**options: Any) -> ExportTarget:
    from amused_edge.export.coreai.target import CoreAITarget
    from amused_edge.export.coreai.write import CoreAIOptions

    return CoreAITarget(CoreAIOptions(**options))


_TARGETS: dict[str, Callable[..., ExportTarget]] = {"onnx": _onnx, "coreml": _coreml, "coreai": _coreai}
