"""The list of operators for a reduced build, read back by ONNX Runtime's own parser and held against its own list."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.tools.convert_onnx_models_to_ort import OptimizationStyle, convert_onnx_models_to_ort
from onnxruntime.tools.reduced_build_config_parser import parse_config

from amused_edge.benchmarks.execution import required_operators as module
from amused_edge.benchmarks.execution.required_operators import Operators, reduced_build_config, required_operators
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError

FUSED = {"FusedMatMul", "QuickGelu", "SkipLayerNormalization", "FusedConv"}
"""What ONNX Runtime puts in place of several nodes of a float32 bundle, on any CPU."""


@pytest.fixture(scope="module")
def bundle(demo_bundle: Path) -> Bundle:
    return Bundle.open(demo_bundle)


@pytest.fixture(scope="module")
def operators(bundle: Bundle) -> Operators:
    return required_operators([bundle])


@pytest.fixture(scope="module")
def quantized(quantized_demo: Callable[[str], Path]) -> Bundle:
    return Bundle.open(quantized_demo("w8a8"))


@pytest.fixture(scope="module")
def quantized_operators(quantized: Bundle) -> Operators:
    return required_operators([quantized])


def stored(bundle: Bundle) -> Iterator[tuple[str, int, str]]:
    """Yield (domain, opset, name) of every node of a bundle, read with the onnx package."""
    for entry in bundle.manifest.graphs.values():
        model = onnx.load(bundle.file(entry.files[0]), load_external_data=False)
        opsets = {imported.domain: imported.version for imported in model.opset_import}
        for node in nodes(model.graph):
            yield node.domain or "ai.onnx", opsets[node.domain], node.op_type


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)


def kernels(parsed: Mapping[str, Mapping[int, set[str]]]) -> set[tuple[str, str]]:
    return {(domain, name) for domain, opsets in parsed.items() for names in opsets.values() for name in names}


def parse(text: str, file: Path) -> dict[str, dict[int, set[str]]]:
    file.write_text(text, encoding="utf-8")
    required, types = parse_config(str(file), enable_type_reduction=True)
    assert types is None
    return required


def test_every_node_of_every_graph_is_covered(bundle: Bundle, operators: Operators) -> None:
    nodes = set(stored(bundle))
    assert len(nodes) > 20
    assert all(name in operators[domain, opset] for domain, opset, name in nodes)


def test_what_the_engine_makes_of_the_graphs_is_covered_too(bundle: Bundle, operators: Operators) -> None:
    assert not FUSED & {name for _, _, name in stored(bundle)}
    assert operators["com.microsoft", 1] >= FUSED


def test_onnx_runtime_reads_the_file_as_it_was_meant(operators: Operators, tmp_path: Path) -> None:
    parsed = parse(reduced_build_config(operators), tmp_path / "required.config")
    assert {(domain, opset): names for domain in parsed for opset, names in parsed[domain].items()} == operators


def test_a_file_has_a_line_per_domain_and_opset_in_a_fixed_order(tmp_path: Path) -> None:
    operators: Operators = {("com.microsoft", 1): {"QuickGelu", "FusedConv"}, ("ai.onnx", 20): {"Mul", "Add"}}
    assert reduced_build_config(operators) == "ai.onnx;20;Add,Mul\ncom.microsoft;1;FusedConv,QuickGelu\n"
    assert parse(reduced_build_config({}), tmp_path / "empty.config") == {}


@pytest.mark.parametrize("platform", ["arm", "amd64"])
def test_all_that_onnx_runtimes_converter_lists_is_there(
    platform: str, quantized: Bundle, quantized_operators: Operators, tmp_path: Path
) -> None:
    """Its converter writes such a file from the graphs that it made for a platform."""
    models = tmp_path / "models"
    shutil.copytree(quantized.path, models)
    convert_onnx_models_to_ort(models, optimization_styles=[OptimizationStyle.Fixed], target_platform=platform)
    theirs, _ = parse_config(str(models / "required_operators.config"))
    assert ("com.microsoft", "DynamicQuantizeMatMul") in kernels(theirs)
    assert kernels(theirs) <= kernels(parse(reduced_build_config(quantized_operators), tmp_path / "ours.config"))


def test_every_outcome_counts_where_one_optimiser_replaces_what_another_made(quantized_operators: Operators) -> None:
    assert "QLinearConv" in quantized_operators["ai.onnx", 20]  # as long as channels come second
    assert "QLinearConv" in quantized_operators["com.microsoft", 1]  # once they come last


def one_graph(bundle: Bundle, folder: Path, model: Any) -> Bundle:
    """Return a bundle whose only graph is `model`."""
    role, entry = next(iter(bundle.manifest.graphs.items()))
    file = replace(entry.files[0], path="small.onnx")
    onnx.save(model, folder / file.path)
    return Bundle(folder, replace(bundle.manifest, graphs={role: replace(entry, files=(file,))}))


def small(name: str, opset: int) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(value, TensorProto.FLOAT, [4]) for value in "xy")
    graph = helper.make_graph([helper.make_node(name, ["x"], ["y"])], name, [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def test_several_bundles_give_one_list(bundle: Bundle, tmp_path: Path) -> None:
    bundles = []
    for name, opset in (("Sin", 20), ("Cos", 20), ("Abs", 21)):
        folder = tmp_path / name
        folder.mkdir()
        bundles.append(one_graph(bundle, folder, small(name, opset)))
    assert required_operators(bundles) == {("ai.onnx", 20): {"Sin", "Cos"}, ("ai.onnx", 21): {"Abs"}}


def test_nodes_inside_branches_count_as_well(bundle: Bundle, tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        y = helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])
        return helper.make_graph([helper.make_node(name, ["x"], [name])], name, [], [y])

    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=branch("Sin"), else_branch=branch("Cos"))],
        "choice",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [4]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert required_operators([one_graph(bundle, tmp_path, model)]) == {("ai.onnx", 20): {"If", "Sin", "Cos"}}


def test_a_bundle_for_core_ml_is_refused(bundle: Bundle) -> None:
    coreml = Bundle(bundle.path, replace(bundle.manifest, target="coreml"))
    with pytest.raises(BundleError, match=r"'coreml'.*give bundles for ONNX"):
        required_operators([coreml])


def test_the_command_prints_the_file(bundle: Bundle, operators: Operators, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module.__name__, str(bundle.path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    comment, _, listed = printed.partition("\n")
    assert comment.startswith("# demo, onnxruntime ")
    assert listed == reduced_build_config(operators)
    assert parse(printed, tmp_path / "printed.config")
