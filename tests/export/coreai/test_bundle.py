"""What the packages of a Core AI bundle hold: weights, names, types, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.export.graphs import GRAPHS
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import TensorSpec
from amused_edge.runtime.engines.coreai.package import package
from tests.support.coreai import needs_coreai
from tests.support.packages import COMPONENTS, HALVES, POSITIONS, ROLES, weights_of
from tests.support.paths import ROOT

pytestmark = needs_coreai

constants: Any = pytest.importorskip("amused_edge.runtime.engines.coreai.constants", exc_type=ImportError)
program: Any = pytest.importorskip("amused_edge.runtime.engines.coreai.program", exc_type=ImportError)

Array = NDArray[Any]


@pytest.fixture(scope="module")
def tiny(tiny_coreai: Path) -> Bundle:
    return Bundle.open(tiny_coreai)


@pytest.fixture(scope="module")
def weights(tiny: Bundle) -> dict[str, dict[str, Array]]:
    """Role -> name -> values."""
    return {role: dict(constants.stored_floats(package(tiny, role))) for role in ROLES}


def forms(value: Array) -> list[Array]:
    """What the checkpoint's tensor may have become: itself, or a matrix (in, out), patches' entries in the order (row,
    column, channel).
    """
    if value.ndim == 4 and value.shape[2:] == (2, 2):
        merging = value.transpose(2, 3, 1, 0).reshape(-1, value.shape[0])
        return [value, merging, value.transpose(0, 2, 3, 1).reshape(value.shape[0], -1)]
    matrix = value.reshape(value.shape[:2]) if value.shape[2:] == (1, 1) else value
    return [value, matrix, matrix.T, value.reshape(-1)]


@pytest.mark.parametrize("component", ["text_encoder", "transformer", "vqvae"])
def test_every_matrix_of_the_checkpoint_is_there_under_its_name(
    component: str, tiny: Bundle, weights: dict[str, dict[str, Array]]
) -> None:
    """With its values, rounded to halves; alone, or where the manifest says that it was folded with others."""
    roles = [role for role in ROLES if COMPONENTS[role] == component]
    folded = {source for role in roles for sources in tiny.graph(role).derived_tensors.values() for source in sources}
    for name, value in weights_of(tiny.path, component).items():
        held = [(role, weights[role][name]) for role in roles if name in weights[role]]
        if value.ndim > 1 and name != POSITIONS:
            assert held or name in folded, name
        for role, found in held:
            dtype = np.float16 if role in HALVES else np.float32
            assert found.dtype == dtype
            assert any(np.array_equal(found, form.astype(dtype)) for form in forms(value)), name


def test_folded_matrices_hold_the_checkpoints_values(tiny: Bundle, weights: dict[str, dict[str, Array]]) -> None:
    source = "transformer_layers.0.ff.net.0.proj.weight"
    values_and_gates = np.split(weights_of(tiny.path, "transformer")[source], 2)
    for part, expected in zip(("value", "gate"), values_and_gates, strict=True):
        name = f"transformer_layers.0.ff.net.0.{part}.weight"
        assert np.array_equal(weights["denoiser"][name], expected.T.astype(np.float16))
        assert tiny.graph("denoiser").derived_tensors[name] == (source,)
    known = weights_of(tiny.path, "vqvae")
    kernel = known["post_quant_conv.weight"][..., 0, 0].astype(np.float64)
    table = known["quantize.embedding.weight"] @ kernel.T + known["post_quant_conv.bias"]
    np.testing.assert_allclose(weights["image_decoder"]["code_table"], table, atol=1e-6)


def test_positions_keep_their_values(tiny: Bundle) -> None:
    table = weights_of(tiny.path, "text_encoder")[POSITIONS].astype(np.float16)
    stored = constants.stored_floats(package(tiny, "text_encoder"))
    assert any(value.size == table.size and np.array_equal(value.reshape(table.shape), table) for _, value in stored)


def test_types_and_layouts_are_the_documented_ones(tiny: Bundle) -> None:
    graphs = tiny.manifest.graphs
    picture, tokens = TensorSpec("image", "uint8", (1, 8, 12, 3)), TensorSpec("tokens", "int32", (1, 4, 6))
    assert graphs["text_encoder"].inputs == (TensorSpec("input_ids", "int32", (1, 77)),)
    assert graphs["conditioner"].inputs[:2] == graphs["text_encoder"].outputs
    assert graphs["conditioner"].inputs[2] == TensorSpec("micro_conditions", "float32", (1, 5))
    assert graphs["denoiser"].inputs == (tokens, *graphs["conditioner"].outputs)
    assert graphs["denoiser"].outputs == (TensorSpec("logits", "float32", (1, 24, 32)),)
    assert {spec.dtype for spec in graphs["conditioner"].outputs + graphs["text_encoder"].outputs} == {"float16"}
    assert (graphs["image_decoder"].inputs, graphs["image_decoder"].outputs) == ((tokens,), (picture,))
    assert (graphs["image_encoder"].inputs, graphs["image_encoder"].outputs) == ((picture,), (tokens,))
    for spec in GRAPHS:
        assert tuple(output.name for output in graphs[spec.role].outputs) == spec.outputs
        assert graphs[spec.role].stored_precision == ("float16" if spec.role in HALVES else "float32")


ALWAYS_FLOAT32 = {"reduce_mean", "reduce_sum", "sqrt", "cos", "sin"}


@pytest.mark.parametrize("role", ROLES)
def test_halves_have_the_documented_float32_islands(role: str, tiny: Bundle) -> None:
    kinds: dict[str, set[str]] = {"f16": set(), "f32": set()}
    for op in program.Program(package(tiny, role)).operations():
        if op.results and op.name not in ("coreai.constant", "coreai.cast"):
            kinds.setdefault(program.element_name(op.results[0]), set()).add(op.name.rpartition(".")[2])
    if role not in HALVES:
        assert not kinds["f16"]
        return
    assert not kinds["f16"] & ALWAYS_FLOAT32
    assert {"broadcasting_batch_matmul"} <= kinds["f16"]
    assert "broadcasting_batch_matmul" not in kinds["f32"]
    assert "conv2d" not in kinds["f32"]
    if role != "text_encoder":
        assert {"reduce_mean", "sqrt"} <= kinds["f32"]


def test_it_was_executed_and_the_manifest_says_so(tiny: Bundle) -> None:
    manifest = tiny.manifest
    assert manifest.simulated is None
    assert manifest.parity is not None
    assert set(manifest.parity.roles) == set(ROLES)
    assert manifest.parity.logits.mean_kl <= 2e-3
    assert manifest.parity.roles["image_decoder"]["image"] <= 1
    assert manifest.engine.name == "coreai"
    assert manifest.engine.version == manifest.tools["coreai-core"]
    assert {"coreai-core", "coreai-torch"} <= set(manifest.tools)
    for role in HALVES:
        said = manifest.graphs[role].executed_precision
        assert "operations in float16" in said
        assert "(as the program asks), products of halves summed in float32 on " in said


def test_files_are_those_of_the_manifest_and_no_other(tiny: Bundle) -> None:
    listed = {entry.path for entry in tiny.manifest.all_files()} | {"manifest.json", "README.md"}
    assert {file.relative_to(tiny.path).as_posix() for file in tiny.path.rglob("*") if file.is_file()} == listed
    for role in ROLES:
        names = [file.path for file in tiny.graph(role).files]
        assert names == [f"{role}.aimodel/{name}" for name in ("main.mlirb", "main.hash", "metadata.json")]


def test_files_tell_nothing_about_the_machine_that_made_them(tiny: Bundle, tmp_path: Path) -> None:
    forbidden = ["site-packages", "stack_trace", "Traceback", ".py", "/usr", "torch.nn", "/tmp/", "partial"]
    forbidden += [f"{Path.home()}/", str(ROOT), str(tmp_path.parent), tiny.path.parent.name]
    for entry in tiny.manifest.all_files():
        if not entry.path.endswith("tokenizer.json"):
            content = tiny.file(entry).read_bytes()
            assert not [text for text in forbidden if text.encode() in content], entry.path
