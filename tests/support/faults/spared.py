"""Work of an export that writes nothing and takes most of the time: done once, before the command is forked.

That it writes nothing is not taken for granted: a run that does all of it must make the same calls, one by one.
"""

from collections.abc import Callable
from typing import Any


class Spared:
    """Functions whose results are kept, by the order of the calls; forks use each once, on their own copy of memory."""

    def __init__(self) -> None:
        self._results: dict[str, list[Any]] = {}
        self._next: dict[str, int] = {}
        self._mode = "keep"

    def install(self, owner: Any, name: str, applies: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
        """Replace a function of a module by one that is spared."""
        original = getattr(owner, name)
        kept = self._results.setdefault(f"{owner.__name__}.{name}", [])
        key = f"{owner.__name__}.{name}"

        def instead(*arguments: Any, **options: Any) -> Any:
            if not applies(options) or self._mode == "off":
                return original(*arguments, **options)
            if self._mode == "keep":
                kept.append(original(*arguments, **options))  # and once more below: callers change what they get
                return original(*arguments, **options)
            number = self._next.get(key, 0)
            self._next[key] = number + 1
            return kept[number]

        setattr(owner, name, instead)

    def use(self, mode: str) -> None:
        """Choose: "keep" results, "give" them, or "off"."""
        self._mode = mode


def spared_export(target: str) -> Spared:
    """Return what is spared of an export for a target."""
    spared = Spared()
    if target == "onnx":
        import torch.onnx

        spared.install(torch.onnx, "export")
    elif target == "coreml":
        from amused_edge.export.coreml import write
        from amused_edge.runtime.engines.coreml.quiet_coremltools import ct

        spared.install(write, "trace")
        spared.install(ct, "convert", lambda options: options.get("convert_to") == "milinternal")
    else:
        from amused_edge.export.coreai import write as coreai_write

        spared.install(coreai_write, "_trace")
    return spared
