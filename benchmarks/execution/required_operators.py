"""The operators that a reduced build of ONNX Runtime needs to run bundles, as the file that its build script reads.

`python -m amused_edge.benchmarks.execution.required_operators BUNDLE... > required_operators.config`

ONNX Runtime optimises a graph when it loads it, and puts operators of its own in place of what it finds. A build that
has the graph's operators but not those refuses the graph, so both are listed. Types are not reduced.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError, quoted
from amused_edge.runtime.system.scripts import run

Operators = dict[tuple[str, int], set[str]]
"""(domain, opset that the graph imports of it) -> names."""

_DEFAULT_DOMAIN = "ai.onnx"
"""What the file calls the domain that graphs leave empty."""


@dataclass(frozen=True)
class _Optimisation:
    """A way in which the engine may change a graph.

    Attributes
    ----------
    level
        Name of a `GraphOptimizationLevel`. "all" is what a session does unless it is told otherwise.
    without
        Optimisers left out.
    signed
        Let products of 8 bits keep signed values, as the engine does on ARM.
    """

    level: str
    without: tuple[str, ...] = ()
    signed: bool = False


_OPTIMISATIONS = (
    _Optimisation("ORT_ENABLE_BASIC"),
    _Optimisation("ORT_ENABLE_EXTENDED"),
    _Optimisation("ORT_ENABLE_ALL"),
    # What ONNX Runtime's converter does for ARM: blocked channels are of x86 (a build for ARM can have them too).
    _Optimisation("ORT_ENABLE_ALL", without=("NchwcTransformer",), signed=True),
)
"""An optimiser replaces what an earlier one made, and not on every CPU: each outcome counts."""


def required_operators(bundles: Sequence[Bundle]) -> Operators:
    """Return the operators of all graphs of all bundles, as stored and as this ONNX Runtime optimises them.

    Raises
    ------
    BundleError
        A bundle is not for ONNX.
    """
    operators: Operators = defaultdict(set)
    for model in (model for bundle in bundles for model in _models(bundle)):
        for form in _forms(model):
            for key, name in _operators(form):
                operators[key].add(name)
    return dict(operators)


def reduced_build_config(operators: Operators) -> str:
    """Return the text of the file for `--include_ops_by_config`: lines `domain;opset;Operator,Operator,...`."""
    return "".join(
        f"{domain};{opset};{','.join(sorted(names))}\n" for (domain, opset), names in sorted(operators.items())
    )


def _models(bundle: Bundle) -> list[Path]:
    if bundle.manifest.target != "onnx":
        raise BundleError(
            f"bundle {bundle.path} has the target {quoted(bundle.manifest.target)}; only ONNX Runtime can be built "
            "with fewer operators: give bundles for ONNX"
        )
    return [bundle.file(graph.files[0]) for graph in bundle.manifest.graphs.values()]


def _forms(model: Path) -> Iterator[Any]:
    """Yield a model as stored, then as the engine optimises it."""
    import onnx_ir as ir

    yield ir.load(model)
    for optimisation in _OPTIMISATIONS:
        yield _optimised(model, optimisation)


def _optimised(model: Path, optimisation: _Optimisation) -> Any:
    """Return the model that the engine makes of the one in a file."""
    import onnxruntime as ort

    from amused_edge.benchmarks.execution.optimised import optimised_model

    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, optimisation.level)
    if optimisation.signed:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    return optimised_model(model, options, optimisation.without)


def _operators(model: Any) -> Iterator[tuple[tuple[str, int], str]]:
    """Yield ((domain, opset), name) of every node, also of those inside branches; the engine inlines functions."""
    import onnx_ir as ir

    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        yield (node.domain or _DEFAULT_DOMAIN, model.graph.opset_imports[node.domain]), node.op_type


def _main() -> None:
    import onnxruntime as ort

    parser = argparse.ArgumentParser(description="List the operators that a reduced build of ONNX Runtime needs.")
    parser.add_argument("bundles", type=Path, nargs="+")
    bundles: list[Path] = parser.parse_args().bundles
    config = reduced_build_config(required_operators([Bundle.open(path) for path in bundles]))
    print(f"# {' '.join(path.name for path in bundles)}, onnxruntime {ort.__version__}\n{config}", end="")


if __name__ == "__main__":
    run(_main, "quantize")
