"""Work of an export that writes nothing and takes most of the time: done once, before the command is forked.

That it writes nothing is not taken for granted: a run that does all of it must make the same calls, one by one.
"""

import io
from collections.abc import Callable
from typing import Any

from tests.support.faults.children import in_a_child

Packing = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]


class Spared:
    """Functions whose results are kept, by the order of the calls; forks use each once, on their own copy of memory.

    Parameters
    ----------
    packing
        Makes bytes of a result, and a result of bytes: the run whose results are kept has a process of its own, because
        it starts threads, which forks of this one would lack.
    """

    def __init__(self, packing: Packing | None = None) -> None:
        self._packing = packing
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

    def keep(self, run: Callable[[], object]) -> None:
        """Keep the results of a run."""
        self._mode = "keep"
        if self._packing is None:
            run()
            return
        pack, unpack = self._packing

        def packed() -> dict[str, list[bytes]]:
            run()
            return {key: [pack(result) for result in kept] for key, kept in self._results.items()}

        for key, kept in in_a_child(packed).items():
            self._results[key][:] = [unpack(result) for result in kept]

    def use(self, mode: str) -> None:
        """Choose: "give" results that were kept, or "off"."""
        self._mode = mode


def spared_export(target: str) -> Spared:
    """Return what is spared of an export for a target."""
    spared = Spared(_PROGRAMS if target == "coreai" else None)
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

        spared.install(coreai_write, "trace")
    return spared


def _pack(program: Any) -> bytes:
    import torch.export

    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def _unpack(content: bytes) -> Any:
    import torch.export

    return torch.export.load(io.BytesIO(content))


_PROGRAMS = (_pack, _unpack)
