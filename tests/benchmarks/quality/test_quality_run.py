"""Whole quality runs: a bundle beside itself, interrupted ones, and where two subjects part."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from amused_edge.benchmarks.quality.bench import QualityOptions, bench_quality
from amused_edge.benchmarks.quality.draw import Drawn, draw_subjects, read_drawn
from amused_edge.benchmarks.quality.instruments.embedder import Embedder
from amused_edge.benchmarks.quality.metrics import Instruments
from amused_edge.benchmarks.quality.sources import Sources
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.subject import SubjectSpec, make_subject
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.errors import OptionsError, OutputExistsError
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.schedule import mask_length
from tests.support.files import read_json

Fake = Callable[..., SubjectSpec]
PROMPTS = ("a fox", "a panda", "\u5c0f\u72d0, in the snow", 'a "cat" | <b>', "a city")
STEPS = SamplerSettings(steps=6, guidance_scale=1.0)
OPTIONS = QualityOptions(PROMPTS, STEPS, seed=3)
MANY = replace(OPTIONS, prompts=tuple(f"{prompt}, {n}" for n in range(8) for prompt in PROMPTS))
"""Enough for a set."""

BARE = Sources(Instruments())
IDEAL = {
    **dict.fromkeys(("mean_kl", "total_variation"), 0.0),
    **dict.fromkeys(("top1", "top5", "equal_draws", "equal_tokens", "same_picture"), 100.0),
    **dict.fromkeys(("confidence_correlation", "reference_ssim"), 1.0),
}


@pytest.fixture
def embedder(tmp_path: Path) -> Embedder:
    """The mean of each colour: three features."""
    nodes = [helper.make_node("ReduceMean", ["pictures", "axes"], ["features"], keepdims=0)]
    takes = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    gives = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    model = helper.make_model(
        helper.make_graph(nodes, "colours", [takes], [gives], [axes]),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "embedder.onnx")
    return Embedder(tmp_path / "embedder.onnx")


def comparable(folder: Path) -> dict[str, Any]:
    """The results but for when they were made."""
    return {name: value for name, value in read_json(folder / "results.json").items() if name != "made"}


def pictures(folder: Path) -> dict[str, bytes]:
    files = sorted((folder / "pictures").rglob("*.png"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


# --- Beside itself.


def beside_itself(spec: SubjectSpec, options: QualityOptions, sources: Sources, out: Path, **more: float) -> None:
    """Every figure of the second is perfect: exactly, without an interval; `more` are figures beside the usual ones."""
    ideal = {**IDEAL, **more}
    label = f"{spec.label} (2)"
    bench_quality([spec, replace(spec, label=label)], options, sources, out)
    figures = {each["metric"]: each for each in comparable(out)["figures"] if each["label"] == label}
    error = figures.pop("reference_psnr")
    assert error["value"] == {"estimate": None, "low": None, "high": None}  # infinite
    if "reference_fid" in ideal:  # by way of a decomposition, which rounds
        assert figures["reference_fid"]["value"]["estimate"] == pytest.approx(0.0, abs=1e-12)
        figures["reference_fid"]["value"] = dict.fromkeys(("estimate", "low", "high"), 0.0)
    for name, figure in figures.items():
        assert figure["value"] == dict.fromkeys(("estimate", "low", "high"), ideal[name]), name
    assert set(figures) == set(ideal)
    first, second = (
        [file.read_bytes() for file in sorted((out / "pictures" / name).iterdir())] for name in (spec.label, label)
    )
    assert first == second
    assert len(first) == len(options.prompts)
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "| equal |" in text  # the infinite ratio
    assert "| never |" in text


def test_a_fake_beside_itself_is_exactly_perfect(fake: Fake, embedder: Embedder, tmp_path: Path) -> None:
    sources = replace(BARE, embedder=embedder)
    beside_itself(fake("a"), MANY, sources, tmp_path / "run", reference_kid=0.0, reference_fid=0.0)


def test_a_bundle_beside_itself_is_exactly_perfect(demo_bundle: Path, tmp_path: Path) -> None:
    options = QualityOptions(PROMPTS[:3], SamplerSettings(steps=2, guidance_scale=1.25))
    (spec,) = bundle_specs([demo_bundle])
    beside_itself(spec, options, BARE, tmp_path / "run")


def test_differences_to_a_reference_that_is_equal_are_exactly_none(
    fake: Fake, embedder: Embedder, tmp_path: Path
) -> None:
    """Against real pictures both have the same distance."""
    real = tmp_path / "real"
    real.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (16, 24, 3)).astype(np.uint8)
        Image.fromarray(noise).save(real / f"{number}.png")
    sources = replace(BARE, embedder=embedder, real=real)
    found = bench_quality([fake("a"), fake("b")], MANY, sources, tmp_path / "run")
    (kid,) = [figure for figure in found if (figure.label, figure.metric) == ("b", "real_kid")]
    assert kid.against_reference is not None
    assert astuple(kid.against_reference) == (0.0, 0.0, 0.0)
    assert kid.value.low < kid.value.high


# --- Interrupted.


def test_an_interrupted_run_goes_on_to_the_same_results(fake: Fake, log: Path, tmp_path: Path) -> None:
    specs, out = [fake("a"), fake("b", later=1, below=9)], tmp_path / "run"

    def stop(_: str, done: int, __: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_quality(specs, OPTIONS, BARE, out, stop)
    assert log.read_text().count("close") == 2
    assert sorted(path.name for path in out.iterdir()) == ["pictures", "records.jsonl", "settings.json"]
    assert len((out / "records.jsonl").read_text().splitlines()) == 1
    kept = pictures(out)
    assert list(kept) == ["pictures/a/0000.png", "pictures/b/0000.png"]
    seen: list[tuple[str, int, int]] = []
    bench_quality(specs, OPTIONS, BARE, out, lambda *what: seen.append(what))
    measuring = [(f"measuring prompt {number} of 5", number - 1, 5) for number in range(1, 6)]
    assert seen == [(f"prompt {number} of 5", number - 1, 5) for number in range(2, 6)] + measuring
    bench_quality(specs, OPTIONS, BARE, tmp_path / "whole")
    assert comparable(out) == comparable(tmp_path / "whole")
    assert pictures(out) == pictures(tmp_path / "whole")
    assert kept.items() <= pictures(out).items()
    for name in ("pictures.csv", "report.md", "report.html"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(OutputExistsError, match="holds a complete run"):
        bench_quality(specs, OPTIONS, BARE, out)


def test_a_run_with_other_settings_is_not_gone_on_with(fake: Fake, tmp_path: Path) -> None:
    specs, out = [fake("a")], tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        bench_quality(specs, OPTIONS, BARE, out, stop_at_once)
    for other in (
        replace(OPTIONS, seed=4),
        replace(OPTIONS, prompts=PROMPTS[::-1]),
        replace(OPTIONS, settings=SamplerSettings(steps=7, guidance_scale=1.0)),
    ):
        with pytest.raises(OptionsError, match="other settings"):
            bench_quality(specs, other, BARE, out)
    assert [path.name for path in out.iterdir()] == ["settings.json"]


def stop_at_once(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_picture_that_is_gone_is_told(fake: Fake, tmp_path: Path) -> None:
    out = tmp_path / "run"
    bench_quality([fake("a")], OPTIONS, BARE, out)
    (out / "results.json").unlink()
    shutil.rmtree(out / "pictures" / "a")
    with pytest.raises(OptionsError, match="missing or damaged"):
        bench_quality([fake("a")], OPTIONS, BARE, out)


# --- Where they part.


GRID = Geometry(16, 24, 4, 6, 20, 25, 77)


def masked_before(step: int) -> int:
    """Tokens that are masked when step k (from 1) begins."""
    unknown = 24
    for index in range(step - 1):
        unknown = mask_length(
            "cosine", index, STEPS.steps, sequence_length=24, unknown=unknown, starting_mask_ratio=1.0
        )
    return unknown


@pytest.mark.parametrize("step", [1, 3, 6])
def test_the_first_diverging_step_is_that_where_logits_differ(step: int, fake: Fake, tmp_path: Path) -> None:
    specs = [fake("a"), fake("b", later=1, below=masked_before(step))]
    run = RunFolder(tmp_path / "run", {})
    draw_subjects(specs, PROMPTS, STEPS, 3, run)
    for index, prompt in enumerate(PROMPTS):
        drawn = read_drawn(run, index)
        each = drawn["b"]
        assert drawn["a"] == Drawn(None, 1.0, None)
        assert each.first_diverging_step == step
        sources = [make_subject(spec.target, spec.arguments).logits(prompt, STEPS) for spec in specs]
        first, second = (draw_tokens(source, GRID, STEPS, seed=3, picture=index) for source in sources)
        assert each.equal_tokens == np.mean(first == second) < 1
        assert each.logits is not None
        assert each.logits["mean_kl"] > 0


def test_figures_of_each_picture_are_in_the_table(fake: Fake, tmp_path: Path) -> None:
    bench_quality([fake("a"), fake("b", number=1)], OPTIONS, BARE, tmp_path / "run")
    with (tmp_path / "run" / "pictures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["number"], row["prompt"]) for row in rows] == [
        (label, str(number), prompt) for label in "ab" for number, prompt in enumerate(PROMPTS)
    ]
    assert {row["equal_tokens"] for row in rows[:5]} == {""}
    found = {each["metric"]: each["value"] for each in comparable(tmp_path / "run")["figures"] if each["label"] == "b"}
    mean = 100 * np.mean([float(row["equal_tokens"]) for row in rows[5:]])
    assert found["equal_tokens"]["estimate"] == pytest.approx(mean, rel=1e-4)  # the table has six digits


def test_steps_that_call_no_denoiser_are_refused() -> None:
    """Their logits could not be compared."""
    for settings in (SamplerSettings(entropy_bound=2.0), SamplerSettings(row_cache=3)):
        with pytest.raises(OptionsError, match=f"knows no {settings.later[0]}; leave it out"):
            QualityOptions(PROMPTS, settings)


def test_other_grids_are_refused_before_anything_is_drawn(fake: Fake, log: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"b has 8 x 8 pixels from 2 x 2 tokens .* a has 24 x 16 pixels"):
        bench_quality([fake("a"), fake("b", kind="Coarse")], OPTIONS, BARE, tmp_path / "run")
    assert "load" not in log.read_text()
    assert not (tmp_path / "run").exists()
