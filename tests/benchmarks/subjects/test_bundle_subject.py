"""Subjects: labels, a bundle as one, and prompt embeddings in a file."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from amused_edge.benchmarks.subjects.bundle_subject import (
    DRAWING_ROLES,
    BundleSubject,
    bundle_specs,
    graph_inputs,
    sampler_step,
)
from amused_edge.benchmarks.subjects.embeddings import Embeddings, write_embeddings
from amused_edge.benchmarks.subjects.subject import SubjectSpec, distinct, make_subject
from amused_edge.runtime.errors import BundleError, OptionsError
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.kinds import TextToImage

PROMPTS = ("a red fox", "\u5c0f\u72d0 \U0001f98a caf\u00e9\x00\n", "", "a red fox")
GUIDED, ALONE = SamplerSettings(steps=2, guidance_scale=3.0), SamplerSettings(steps=2, guidance_scale=1.0)


# --- Labels.


def labels(*names: str) -> list[str]:
    return [spec.label for spec in distinct([SubjectSpec(name, "", {"place": n}) for n, name in enumerate(names)])]


def test_labels_that_came_before_are_numbered() -> None:
    assert labels("a", "b", "a", "a", "b") == ["a", "b", "a (2)", "a (3)", "b (2)"]
    assert labels() == []
    specs = distinct([SubjectSpec("a", "t", {"x": 1}, (Path("f"),), {"y": 2}), SubjectSpec("a", "u", {})])
    assert specs[0] == SubjectSpec("a", "t", {"x": 1}, (Path("f"),), {"y": 2})
    assert specs[1].target == "u"


@pytest.mark.parametrize("names", [("a", "a", "a (2)"), ("a (2)", "a", "a")])
def test_labels_that_cannot_be_told_apart_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(OptionsError, match="same name; rename a folder"):
        labels(*names)


def test_the_size_of_a_subject_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").write_bytes(bytes(23))
    assert SubjectSpec("x", "", {}, (tmp_path / "a", tmp_path / "b")).bytes == 1023
    assert SubjectSpec("x", "", {}).bytes == 0


# --- A bundle.


@pytest.fixture(scope="module")
def pipeline(demo_bundle: Path) -> Iterator[AmusedPipeline]:
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def embedded(pipeline: AmusedPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("embeddings") / "prompts.npz"
    write_embeddings(file, pipeline, PROMPTS)
    return file


@pytest.mark.parametrize("settings", [GUIDED, ALONE], ids=["guided", "alone"])
def test_it_draws_what_the_pipeline_draws(
    settings: SamplerSettings, demo_bundle: Path, pipeline: AmusedPipeline, embedded: Path
) -> None:
    """From the prompt, from its embeddings, and step by step from its logits."""
    options = GenerationOptions(2**63, 2, settings.guidance_scale, settings.temperature, settings.schedule)
    expected = pipeline.generate(TextToImage(PROMPTS[0], pictures_per_prompt=2), options).images
    for embeddings in (None, str(embedded)):
        subject = BundleSubject(str(demo_bundle), embeddings=embeddings)
        subject.load()
        assert np.array_equal(subject.draw(PROMPTS[0], settings, options.seed, 2), expected)
        subject.close()


def test_with_embeddings_the_text_encoder_is_no_part(demo_bundle: Path, embedded: Path) -> None:
    whole, part = bundle_specs([demo_bundle]), bundle_specs([demo_bundle], embeddings=embedded)
    encoder = {file for file in whole[0].files if file.name.startswith("text_encoder")}
    assert encoder
    assert set(whole[0].files) - set(part[0].files) == encoder
    subject = make_subject(part[0].target, part[0].arguments)
    assert sorted(subject.stages("a red fox", GUIDED, 1)) == sorted([*DRAWING_ROLES[1:], "sampler"])
    subject.close()


@pytest.mark.parametrize(("batch", "settings", "rows"), [(1, GUIDED, 2), (3, GUIDED, 6), (2, ALONE, 2)])
def test_inputs_have_as_many_rows_as_pictures(
    batch: int, settings: SamplerSettings, rows: int, pipeline: AmusedPipeline
) -> None:
    """And, for the denoiser, branches; every graph takes them."""
    feeds = graph_inputs(pipeline, "a red fox", batch, branches=2 if settings.guided else 1)
    for role, feed in feeds.items():
        assert {len(value) for value in feed.values()} == {rows if role == "denoiser" else batch}, role
    assert (feeds["denoiser"]["tokens"] == pipeline.geometry.mask_token_id).all()
    for role in DRAWING_ROLES:
        outputs = pipeline.graph(role)(feeds[role])
        assert {len(value) for value in outputs.values()} == {rows if role == "denoiser" else batch}, role
    step = sampler_step(pipeline, settings, batch)()
    assert isinstance(step, Step)
    assert step.predicted.shape == (batch, 16, 16)


def test_stages_can_be_called_again_and_again(demo_bundle: Path) -> None:
    subject = BundleSubject(str(demo_bundle), {"threads": 1})
    stages = subject.stages("a red fox", GUIDED, 2)
    assert list(stages) == [*DRAWING_ROLES, "sampler"]
    for stage in stages.values():
        stage()
        stage()
    subject.close()


def test_specs_tell_what_a_bundle_is(demo_bundle: Path, tmp_path: Path) -> None:
    first, second = bundle_specs([demo_bundle, str(demo_bundle)])
    assert (first.label, second.label) == (demo_bundle.name, f"{demo_bundle.name} (2)")
    assert (first.facts["target"], first.facts["recipe"]) == ("onnx", "")
    assert first.bytes == sum(file.stat().st_size for file in first.files)
    assert not [file for file in first.files if file.name.startswith("image_encoder")]  # drawing needs none
    with pytest.raises(BundleError, match="is not a bundle"):
        bundle_specs([demo_bundle, tmp_path])


# --- Embeddings.


def test_embeddings_come_back_as_they_were(pipeline: AmusedPipeline, embedded: Path) -> None:
    found = Embeddings.read(embedded)
    for prompt in PROMPTS:
        expected = pipeline.graph("text_encoder")({"input_ids": pipeline.tokenizer([prompt])})
        assert set(found[prompt]) == set(expected)
        for name, value in expected.items():
            assert found[prompt][name].dtype == value.dtype
            assert np.array_equal(found[prompt][name], value)


@pytest.mark.parametrize("prompts", [(), ("",), ("\U0001f98a",)])
def test_the_empty_prompt_is_always_there(prompts: tuple[str, ...], pipeline: AmusedPipeline, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "prompts.npz", pipeline, prompts)
    found = Embeddings.read(tmp_path / "prompts.npz")
    assert found[""]["hidden_states"].shape == (1, 77, found[""]["hidden_states"].shape[2])
    with pytest.raises(OptionsError, match="no embeddings of the prompt 'a fox'"):
        found["a fox"]


def damaged(kind: str, whole: bytes) -> bytes:
    file = io.BytesIO()
    if kind == "text":
        return b"a fox\n"
    if kind == "empty":
        return b""
    if kind == "cut off":
        return whole[: len(whole) // 2]
    if kind == "array":
        np.save(file, np.zeros(3))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("text.npy", b"nonsense")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["text", "empty", "cut off", "array", "other archive", "missing"])
def test_a_file_that_holds_no_embeddings_is_refused(kind: str, embedded: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.npz"
    if kind != "missing":
        file.write_bytes(damaged(kind, embedded.read_bytes()))
    with pytest.raises(OptionsError, match="holds no prompt embeddings"):
        Embeddings.read(file)
