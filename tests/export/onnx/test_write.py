"""The `.onnx` files of two bundles: what they hold, and that they compute for every batch size."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.graphs import GRAPHS, GraphSpec
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from tests.support.paths import DEMO_CHECKPOINT, ROOT
from tests.support.tiny_export import TinyExport

BY_ROLE = {spec.role: spec for spec in GRAPHS}
ROLES = list(BY_ROLE)
COMPONENTS = {
    "text_encoder": ("text_encoder",),
    "transformer": ("conditioner", "denoiser"),
    "vqvae": ("image_decoder", "image_encoder"),
}
OWN_CONSTANT = re.compile(r"frequencies|transformer_layers\.\d+\.unit|text_model\.embeddings\.position_ids")
"""Buffers of our modules, made from the config and not from weights."""

FOLDED = 8192
"""Bytes up to which the exporter's optimizer computes with constants beforehand."""


@pytest.fixture(scope="module", params=["tiny", "demo"])
def exported(request: pytest.FixtureRequest) -> tuple[Checkpoint, Bundle]:
    if request.param == "demo":
        return open_checkpoint(DEMO_CHECKPOINT), Bundle.open(request.getfixturevalue("demo_bundle"))
    tiny: TinyExport = request.getfixturevalue("tiny_export")
    return tiny.checkpoint, tiny.bundle


def model_file(bundle: Bundle, role: str) -> Path:
    return bundle.file(bundle.graph(role).files[0])


def load(bundle: Bundle, role: str) -> onnx.ModelProto:
    return onnx.load(model_file(bundle, role), load_external_data=False)


def size(tensor: onnx.TensorProto) -> int:
    """Bytes."""
    return int(np.prod(tensor.dims)) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize


def weights_of(checkpoint: Checkpoint, role: str) -> dict[str, tuple[int, ...]]:
    (component,) = (name for name, roles in COMPONENTS.items() if role in roles)
    return getattr(checkpoint, f"_{component}").shapes


def example(checkpoint: Checkpoint, bundle: Bundle, spec: GraphSpec, batch: int) -> dict[str, torch.Tensor]:
    return spec.example(checkpoint, bundle.manifest.geometry, batch)


@pytest.mark.parametrize("role", ROLES)
def test_opset_ir_and_domains(role: str, exported: tuple[Checkpoint, Bundle]) -> None:
    model = load(exported[1], role)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert model.ir_version <= 10
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model_file(exported[1], role))


@pytest.mark.parametrize("role", ROLES)
def test_only_the_first_axis_is_dynamic_and_named_batch(role: str, exported: tuple[Checkpoint, Bundle]) -> None:
    graph, entry = load(exported[1], role).graph, exported[1].graph(role)
    assert [value.name for value in graph.output] == list(BY_ROLE[role].outputs)
    for values, specs in ((graph.input, entry.inputs), (graph.output, entry.outputs)):
        assert [value.name for value in values] == [spec.name for spec in specs]
        for value, spec in zip(values, specs, strict=True):
            shape = [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
            assert shape[0] == "batch"
            assert all(type(side) is int and side > 0 for side in shape[1:])
            assert tuple(shape) == spec.shape
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            assert dtype == np.dtype(spec.dtype)


@torch.no_grad()
@pytest.mark.parametrize("role", ROLES)
def test_every_batch_size_computes_what_the_module_computes(role: str, exported: tuple[Checkpoint, Bundle]) -> None:
    checkpoint, bundle = exported
    spec = BY_ROLE[role]
    inputs = example(checkpoint, bundle, spec, 3)
    result = spec.build(checkpoint).eval()(**inputs)
    expected = [part.numpy() for part in (result if isinstance(result, tuple) else (result,))]
    session = onnxruntime.InferenceSession(str(model_file(bundle, role)))
    for batch in (3, 1, 2):
        actual = session.run(list(spec.outputs), {name: value[:batch].numpy() for name, value in inputs.items()})
        for name, reference, ours in zip(spec.outputs, expected, actual, strict=True):
            assert_close(name, reference[:batch], ours)


def assert_close(name: str, reference: np.ndarray[Any, Any], ours: np.ndarray[Any, Any]) -> None:
    assert (ours.shape, ours.dtype) == (reference.shape, reference.dtype), name
    difference = np.abs(reference.astype(np.float64) - ours.astype(np.float64))
    if reference.dtype == np.uint8:
        assert difference.max() <= 1, name
    elif reference.dtype == np.int64:
        assert (difference > 0).mean() <= 1e-3, name
    else:
        assert difference.max() <= 1e-4 * np.abs(reference).max(), name


@pytest.mark.parametrize("role", ROLES)
def test_weights_lie_in_the_file_beside_the_graph(role: str, exported: tuple[Checkpoint, Bundle]) -> None:
    _, bundle = exported
    model = load(bundle, role)
    external = 0
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            external += 1
            places = {entry.key: entry.value for entry in tensor.external_data}
            assert places["location"] == f"{role}.onnx.data"
        else:
            assert size(tensor) <= 1024, tensor.name
    assert external
    for node in model.graph.node:
        for attribute in node.attribute:
            assert attribute.t.ByteSize() <= 1200, node.name
    assert [file.path for file in bundle.graph(role).files] == [f"{role}.onnx", f"{role}.onnx.data"]
    weights = sum(int(np.prod(shape)) for shape in weights_of(*exported[:1], role).values())
    assert bundle.graph(role).files[1].bytes <= 4 * 1.2 * weights


@pytest.mark.parametrize("role", ROLES)
def test_big_initializers_are_named_by_the_checkpoint_or_derived_from_it(
    role: str, exported: tuple[Checkpoint, Bundle]
) -> None:
    checkpoint, bundle = exported
    known, derived = weights_of(checkpoint, role), bundle.graph(role).derived_tensors
    for tensor in load(bundle, role).graph.initializer:
        if size(tensor) > FOLDED and not OWN_CONSTANT.fullmatch(tensor.name):
            assert tensor.name in known or tensor.name in derived, tensor.name
        if tensor.name in known:
            assert np.prod(tensor.dims) == np.prod(known[tensor.name]), tensor.name


@pytest.mark.parametrize("role", ROLES)
def test_derived_tensors_name_initializers_and_sources_that_exist(
    role: str, exported: tuple[Checkpoint, Bundle]
) -> None:
    checkpoint, bundle = exported
    known, initializers = weights_of(checkpoint, role), names_in(bundle, role)
    derived = bundle.graph(role).derived_tensors
    assert bool(derived) == (role in ("denoiser", "image_decoder"))
    for name, sources in derived.items():
        assert name in initializers
        assert name not in known
        assert sources
        assert set(sources) <= set(known)


def names_in(bundle: Bundle, role: str) -> set[str]:
    return {tensor.name for tensor in load(bundle, role).graph.initializer}


def unaccounted(checkpoint: Checkpoint, bundle: Bundle, component: str) -> set[str]:
    """Checkpoint tensors that no graph names, neither as an initializer nor as the source of one."""
    found: set[str] = set()
    for role in COMPONENTS[component]:
        found |= names_in(bundle, role)
        found |= {source for sources in bundle.graph(role).derived_tensors.values() for source in sources}
    return set(weights_of(checkpoint, COMPONENTS[component][0])) - found


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_checkpoint_tensor_is_in_some_graph(component: str, exported: tuple[Checkpoint, Bundle]) -> None:
    """By name; small ones that the exporter's optimizer folded and renamed, by their values (reshaped or repeated)."""
    checkpoint, bundle = exported
    weights = getattr(checkpoint, f"_{component}")
    nameless: list[np.ndarray[Any, Any]] = []
    for role in COMPONENTS[component]:
        for tensor in load(bundle, role).graph.initializer:
            if tensor.name not in weights.shapes:
                nameless.append(onnx.numpy_helper.to_array(tensor, str(bundle.path)).reshape(-1))
    for name in unaccounted(checkpoint, bundle, component):
        values = weights.read(name).numpy().reshape(-1)
        assert values.nbytes <= FOLDED, name
        assert any(np.array_equal(np.resize(values, found.shape), found) for found in nameless), name


@pytest.mark.parametrize("component", COMPONENTS)
def test_small_tensors_keep_their_names(component: str, tiny_export: TinyExport) -> None:
    assert unaccounted(tiny_export.checkpoint, tiny_export.bundle, component) == set()


@pytest.mark.parametrize("role", ROLES)
def test_the_file_tells_nothing_about_the_machine_that_made_it(
    role: str, exported: tuple[Checkpoint, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = model_file(exported[1], role).read_bytes()
    assert b"amused-edge" in content
    forbidden = ["site-packages", "stack_trace", "Traceback", "File ", ".py", "/usr", "torch.nn", "pkg.torch"]
    forbidden += [str(Path.home()) + "/", str(ROOT), str(tmp_path_factory.getbasetemp())]
    for text in forbidden:
        assert text.encode() not in content, text


def test_graphs_of_the_runtime_and_the_file_agree_on_inputs(tiny_export: TinyExport) -> None:
    """The runtime's own loader takes every graph of a non-square bundle."""
    for spec in GRAPHS:
        inputs = example(tiny_export.checkpoint, tiny_export.bundle, spec, 1)
        graph = load_graph(tiny_export.bundle, spec.role, EngineOptions())
        assert set(graph({name: value.numpy() for name, value in inputs.items()})) == set(spec.outputs)
        graph.close()
