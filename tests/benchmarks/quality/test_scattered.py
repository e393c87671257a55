"""However prompts are split, lost and drawn again: the same files, to the last byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from amused_edge.benchmarks.compare.draw import draw_grid
from amused_edge.benchmarks.quality.bench import QualityOptions, bench_quality
from amused_edge.benchmarks.quality.sources import Sources, open_sources
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.files import read_json
from tests.support.paths import ROOT
from tests.support.scattered import Scattered

Fake = Callable[..., SubjectSpec]
STEPS = SamplerSettings(steps=3, guidance_scale=1.0)
OPTIONS = QualityOptions(tuple(f"a fox, {number}" for number in range(11)), STEPS, seed=3)


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies go here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """The mean of each colour, and some real pictures."""
    nodes = [helper.make_node("ReduceMean", ["pictures", "axes"], ["features"], keepdims=0)]
    takes = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    gives = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    graph = helper.make_graph(nodes, "colours", [takes], [gives], [axes])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "embedder.onnx"
    )
    (tmp_path / "real").mkdir()
    for number in range(5):
        Image.effect_noise((24, 16), 40 + number).convert("RGB").save(tmp_path / "real" / f"{number}.png")
    return open_sources(embedder=tmp_path / "embedder.onnx", real=tmp_path / "real", threads=1)


def content(folder: Path) -> dict[str, bytes]:
    """All files but the records, whose order is that in which they came, and the results, which tell the time."""
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name not in ("records.jsonl", "results.json")}


def results(folder: Path) -> dict[str, Any]:
    return {name: value for name, value in read_json(folder / "results.json").items() if name != "made"}


def records(folder: Path) -> list[str]:
    return (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()


def test_the_result_does_not_depend_on_who_draws(fake: Fake, sources: Sources, tmp_path: Path) -> None:
    """Also where a run was begun by one and is gone on with by the other."""
    specs = [fake("a"), fake("b", later=1, below=9)]
    bench_quality(specs, OPTIONS, sources, tmp_path / "alone")

    def stop(text: str, done: int, _: int) -> None:
        if text.startswith("prompt") and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_quality(specs, OPTIONS, sources, tmp_path / "run", stop)
    crew = Scattered(3, 2)
    bench_quality(specs, OPTIONS, sources, tmp_path / "run", crew=crew)
    assert results(tmp_path / "run") == results(tmp_path / "alone")
    assert content(tmp_path / "run") == content(tmp_path / "alone")
    assert sorted(records(tmp_path / "run")) == sorted(records(tmp_path / "alone"))  # each once
    assert crew.fetched == ["embedder.onnx"]


def test_other_instruments_measure_again_and_draw_nothing(
    fake: Fake, sources: Sources, log: Path, tmp_path: Path
) -> None:
    specs, out = [fake("a"), fake("b", number=1)], tmp_path / "run"
    bench_quality(specs, OPTIONS, open_sources(), out)
    (out / "results.json").unlink()
    log.write_text("", encoding="utf-8")
    found = bench_quality(specs, OPTIONS, sources, out, crew=Scattered(5, 1))
    assert "load" not in log.read_text(encoding="utf-8")
    assert {"reference_kid", "real_kid", "real_fid"} <= {figure.metric for figure in found}


def test_a_bundle_and_a_judge_travel(tmp_path: Path) -> None:
    """With two bundles in one, which travels once."""
    judged = open_sources(judge=ROOT / "demo" / "judge", threads=1)
    judge = judged.tools.judge
    assert judge is not None
    specs = bundle_specs([ROOT / "demo" / "bundle"] * 2, threads=1)
    options = QualityOptions(judge.prompts[:2], SamplerSettings(steps=1, guidance_scale=1.25))
    crew = Scattered(1, 1)
    bench_quality(specs, options, judged, tmp_path / "run", crew=crew)
    bench_quality(specs, options, judged, tmp_path / "alone")
    assert results(tmp_path / "run") == results(tmp_path / "alone")
    assert content(tmp_path / "run") == content(tmp_path / "alone")
    files = [name for name in crew.fetched if name != "README.md"]  # bundle and judge have one each
    assert len(files) == len(set(files))
    assert {"manifest.json", "denoiser.onnx", "judge.onnx"} <= set(crew.fetched)


def test_the_pictures_of_a_comparison_are_those_of_one_process(fake: Fake, tmp_path: Path) -> None:
    grid = [STEPS, SamplerSettings(steps=5, guidance_scale=1.0)]
    specs = [fake("a"), fake("b", number=1)]
    for name, crew in (("alone", None), ("run", Scattered(4, 1))):
        draw_grid(specs, OPTIONS.prompts, grid, 3, RunFolder(tmp_path / name, {}), crew=crew)
    assert content(tmp_path / "run") == content(tmp_path / "alone")
    assert sorted(records(tmp_path / "run")) == sorted(records(tmp_path / "alone"))
    assert len(records(tmp_path / "run")) == 2 * 2 * len(OPTIONS.prompts)
