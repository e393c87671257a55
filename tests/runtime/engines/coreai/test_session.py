"""The Core AI engine: one process for each graph, which may be interrupted, killed, forked away from and closed."""

import asyncio
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from amused_edge.benchmarks.machine.memory import resident
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreai import process as process_module
from amused_edge.runtime.engines.coreai import session
from amused_edge.runtime.engines.coreai.process import Worker
from amused_edge.runtime.engines.stored_floats import check_stored_floats
from amused_edge.runtime.errors import BundleError, GenerationCancelledError, GraphError, OptionsError
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.coreai import needs_coreai
from tests.support.forked import forked
from tests.support.hub import hub_snapshot
from tests.support.poison import agree, change_coreai, nan_first

pytestmark = needs_coreai

OPTIONS = EngineOptions()
FEW = GenerationOptions(seed=2, steps=2)


@pytest.fixture
def bundle(tiny_coreai: Path) -> Bundle:
    return Bundle.open(tiny_coreai)


@pytest.fixture
def copy(tiny_coreai: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_coreai, tmp_path / "copy"))


@pytest.fixture
def graph(bundle: Bundle) -> Iterator[Graph]:
    loaded = load_graph(bundle, "text_encoder", OPTIONS)
    yield loaded
    loaded.close()


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if any("coreai.worker" in word for word in child.cmdline())]


def ids(*rows: int) -> dict[str, Any]:
    return {"input_ids": np.repeat(np.array(rows)[:, None], 77, axis=1)}


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# --- Calls.


def test_a_batch_is_its_rows(graph: Graph) -> None:
    both = graph(ids(5, 9))
    for row, found in enumerate((graph(ids(5)), graph(ids(9)))):
        assert equal({name: value[row : row + 1] for name, value in both.items()}, found)
    assert both["hidden_states"].dtype == np.float16


def test_inputs_that_do_not_fit(graph: Graph) -> None:
    with pytest.raises(GraphError, match=r"text_encoder takes \['input_ids'\]"):
        graph({"ids": np.zeros((1, 77), int)})
    with pytest.raises(GraphError, match=r"input_ids has shape \[1, 76\]"):
        graph({"input_ids": np.zeros((1, 76), int)})
    with pytest.raises(GraphError, match="input_ids is float64"):
        graph({"input_ids": np.zeros((1, 77))})


def test_several_threads_get_their_own_answers(graph: Graph) -> None:
    expected = {number: graph(ids(number)) for number in range(6)}
    right: dict[int, bool] = {}

    def ask(number: int) -> None:
        right[number] = all(equal(graph(ids(number)), expected[number]) for _ in range(5))

    threads = [threading.Thread(target=ask, args=(number,)) for number in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == dict.fromkeys(expected, True)


def test_whoever_calls_may_run_an_event_loop(graph: Graph) -> None:
    expected = graph(ids(3))

    async def ask() -> bool:
        return equal(graph(ids(3)), expected) and equal(await asyncio.to_thread(graph, ids(3)), expected)

    assert asyncio.run(ask())


def test_cancelling_stops_between_calls_and_leaves_the_pipeline_whole(bundle: Bundle) -> None:
    with AmusedPipeline(bundle, OPTIONS) as pipeline:
        expected = pipeline.generate("a fox", FEW).tokens
        cancellation = Cancellation()
        steps = []

        def cancel(index: int, step: object) -> None:
            steps.append(step)
            cancellation.cancel()

        with pytest.raises(GenerationCancelledError):
            pipeline.generate("a fox", FEW, on_step=cancel, cancellation=cancellation)
        assert len(steps) == 1
        assert np.array_equal(pipeline.generate("a fox", FEW).tokens, expected)


def test_an_interrupted_call_does_not_spoil_the_next(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is still to come, and would be taken for the next one's."""
    expected = graph(ids(4))
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Worker, "answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            graph(ids(8))
    assert workers() == []
    assert equal(graph(ids(4)), expected)


def test_a_process_that_aborts_is_an_error_and_is_replaced(graph: Graph) -> None:
    expected = graph(ids(4))
    (worker,) = workers()
    worker.send_signal(signal.SIGABRT)
    with pytest.raises(
        GraphError, match=r"text_encoder: Core AI ended when it should run the package \(signal SIGABRT"
    ):
        graph(ids(4))
    assert equal(graph(ids(4)), expected)
    assert [child.pid for child in workers()] != [worker.pid]


# --- Closing.


def test_closing_frees_the_memory(bundle: Bundle) -> None:
    gc.collect()
    before = resident(os.getpid())
    loaded = load_graph(bundle, "denoiser", OPTIONS)
    during = resident(os.getpid())
    loaded.close()
    after = resident(os.getpid())
    assert workers() == []
    assert during.total - before.total > 50 * 2**20  # an interpreter with Core AI in it
    assert after.total - before.total < 10 * 2**20


def test_nothing_is_left_in_the_temporary_folder(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compiled has no name any more once it is loaded, so that no crash leaves it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    loaded = load_graph(bundle, "text_encoder", OPTIONS)
    assert list(tmp_path.iterdir()) == []
    first = loaded(ids(1))
    assert equal(loaded(ids(1)), first)
    loaded.close()


def test_graphs_that_are_not_kept_leave_no_process(bundle: Bundle) -> None:
    with AmusedPipeline(bundle, OPTIONS) as kept, AmusedPipeline(bundle, EngineOptions.low_memory()) as dropped:
        expected = kept.generate("a fox", FEW)
        held = len(workers())
        assert held == 4
        found = dropped.generate("a fox", FEW)
        assert len(workers()) == held
    assert workers() == []
    assert np.array_equal(found.images, expected.images)


def test_a_closed_graph_cannot_be_called(graph: Graph) -> None:
    graph.close()
    graph.close()
    with pytest.raises(GraphError, match="text_encoder was closed; make a new pipeline"):
        graph(ids(1))


def test_closing_ends_a_call_of_another_thread(graph: Graph) -> None:
    """The process is stopped as by a runtime that hangs; the caller is told."""
    graph(ids(1))
    (worker,) = workers()
    worker.suspend()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            graph(ids(1))
        except GraphError as error:
            errors.append(error)

    caller = threading.Thread(target=ask)
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    graph.close()
    caller.join()
    assert [str(error) for error in errors] == ["text_encoder was closed; make a new pipeline"]


CHILDREN = {
    "closes": "pipeline.close(); sys.exit(0)",
    "draws": 'sys.exit(0 if pipeline.generate("a fox", few).images.tobytes() == before else 3)',
}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_forked_process_leaves_its_parents_alone(child: str, tiny_coreai: Path) -> None:
    quiet = ("-W", "ignore:This process:DeprecationWarning")  # Python 3.12 and later warn of every fork beside threads
    command = [sys.executable, *quiet, "-c", forked(CHILDREN[child]), str(tiny_coreai)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_killed_caller_leaves_no_process(tiny_coreai: Path) -> None:
    code = """
import sys, time
from amused_edge.runtime import AmusedPipeline
pipeline = AmusedPipeline.from_bundle(sys.argv[1])
pipeline.graph("text_encoder")
print("loaded", flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", code, str(tiny_coreai)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "loaded\n"
        (worker,) = psutil.Process(caller.pid).children()
        caller.kill()
        worker.wait(60)


# --- What is damaged, or not there.


def test_a_changed_byte_is_found_before_core_ai_sees_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens the bundle without checking it. A changed weight would go unseen, another byte end the process."""
    bundle = Bundle.open(copy)
    program = copy / "denoiser.aimodel" / "main.mlirb"
    content = bytearray(program.read_bytes())
    content[len(content) // 2] ^= 1
    program.write_bytes(content)
    monkeypatch.setattr(session, "PackageProcess", lambda _: pytest.fail("it was opened"))
    with pytest.raises(BundleError, match=r"denoiser\.aimodel/main\.mlirb is damaged: its SHA-256 is not"):
        load_graph(bundle, "denoiser", OPTIONS)


@pytest.mark.parametrize("name", ["main.mlirb", "main.hash", "metadata.json"])
def test_a_missing_file(name: str, copy: Path) -> None:
    (copy / "denoiser.aimodel" / name).unlink()
    with pytest.raises(BundleError, match=f"lacks the file denoiser.aimodel/{name}; copy it again"):
        Bundle.open(copy)


def test_a_program_that_makes_core_ai_abort(copy: Path) -> None:
    """Whoever wrote it made the hashes agree, or a newer Core AI did."""
    program = copy / "text_encoder.aimodel" / "main.mlirb"
    program.write_bytes(program.read_bytes()[:1000])
    agree(copy)
    with pytest.raises(GraphError) as error:
        load_graph(Bundle.open(copy), "text_encoder", OPTIONS)
    message = str(error.value)
    assert "text_encoder.aimodel: Core AI ended when it should load the package (signal SIGABRT: " in message
    assert "it was made with coreai-core 1." in message
    assert "if that is older, upgrade it" in message
    assert workers() == []


def test_a_newer_format(copy: Path) -> None:
    metadata = copy / "text_encoder.aimodel" / "metadata.json"
    metadata.write_text('{"producer": "coreai-core 9.0", "assetVersion": "9.0"}', encoding="utf-8")
    agree(copy)
    with pytest.raises(GraphError, match=r'cannot load the package \(Asset version "9.0" is not supported\); it was'):
        load_graph(Bundle.open(copy), "text_encoder", OPTIONS)


def test_a_package_that_is_not_what_the_manifest_says(copy: Path) -> None:
    shutil.rmtree(copy / "image_encoder.aimodel")
    shutil.copytree(copy / "image_decoder.aimodel", copy / "image_encoder.aimodel")
    agree(copy)
    with pytest.raises(BundleError, match=r"the package of image_encoder has .* than the manifest says; do not use"):
        load_graph(Bundle.open(copy), "image_encoder", OPTIONS)
    assert workers() == []


def test_a_system_without_the_runtime(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "find_spec", lambda name: None)
    with pytest.raises(GraphError, match=r"coreai-core, which is not installed: pip install 'amused-edge\[coreai\]'"):
        load_graph(bundle, "denoiser", OPTIONS)


def test_a_runtime_that_cannot_be_imported(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel of another system, say, whose native part does not load."""
    (tmp_path / "coreai").mkdir()
    (tmp_path / "coreai" / "__init__.py").write_text("raise ImportError('libfox.so: no such file')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(GraphError, match=r"ended when it should load the package \(code 1: .*libfox.so: no such file"):
        load_graph(bundle, "denoiser", OPTIONS)


def test_it_is_not_simulated(bundle: Bundle) -> None:
    with pytest.raises(OptionsError, match="is for Core AI, whose engine runs here; simulate is for Core ML bundles"):
        load_graph(bundle, "denoiser", EngineOptions(simulate="half"))


@pytest.mark.parametrize(
    ("role", "name"),
    [("text_encoder", "text_model.embeddings.token_embedding.weight"), ("image_decoder", "code_table")],
)
def test_a_weight_that_is_not_finite(role: str, name: str, copy: Path, bundle: Bundle) -> None:
    """No run need show it: a row of a table may never be looked up."""
    check_stored_floats(bundle)
    change_coreai(copy, role, name, nan_first)
    with pytest.raises(BundleError, match=f"{role}/{name} has values that are not finite"):
        check_stored_floats(Bundle.open(copy))


def test_a_bundle_of_links_into_a_hubs_cache(tiny_coreai: Path, bundle: Bundle, tmp_path: Path) -> None:
    linked = Bundle.open(hub_snapshot(tiny_coreai, tmp_path))
    assert linked.links
    through, plain = (load_graph(opened, "text_encoder", OPTIONS) for opened in (linked, bundle))
    assert equal(through(ids(6)), plain(ids(6)))
    through.close()
    plain.close()
