"""Peers compute what the bundle of the same checkpoint computes; those whose libraries are here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.benchmarks.peers import make, specs
from amused_edge.benchmarks.subjects.bundle_subject import BundleSubject
from amused_edge.benchmarks.subjects.embeddings import write_embeddings
from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec, make_subject
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.files import read_json
from tests.support.made_once import made_once
from tests.support.validated import Validated

PROMPT = "a \u5c0f fox"
SETTINGS = SamplerSettings(steps=3, guidance_scale=2.0)


@pytest.fixture(scope="module")
def embeddings(validated: Validated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embeddings") / "embeddings.npz"
    with AmusedPipeline.from_bundle(validated.bundle) as pipeline:
        write_embeddings(path, pipeline, [PROMPT])
    return path


@pytest.fixture(scope="module")
def peers(validated: Validated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain graphs; in place of what optimum and OpenVINO make there are empty folders."""

    def build(out: Path) -> Path:
        for name in (make.OPTIMUM, make.OPENVINO):
            (out / name).mkdir()
            facts = {"checkpoint_sha256": make.checkpoint_hash(validated.checkpoint)}
            (out / name / "peer.json").write_text(json.dumps(facts))
        make.make_peers(str(validated.checkpoint), validated.bundle, out, Path("python"))
        return out

    return made_once(tmp_path_factory, "peers", build)


@pytest.fixture(scope="module")
def ours(validated: Validated, embeddings: Path) -> BundleSubject:
    return BundleSubject(str(validated.bundle), {"threads": 1}, str(embeddings))


def found(validated: Validated, peers: Path, embeddings: Path) -> dict[str, SubjectSpec]:
    listed, _ = specs.peer_specs(validated.checkpoint, peers, embeddings)
    return {spec.label: spec for spec in listed}


@pytest.mark.parametrize("label", ["diffusers-fp32", "plain-onnx-fp32"])
@pytest.mark.parametrize("settings", [SETTINGS, SamplerSettings(steps=2, guidance_scale=1.0)], ids=["guided", "alone"])
def test_a_peer_has_our_logits_and_pictures(
    label: str, settings: SamplerSettings, validated: Validated, peers: Path, embeddings: Path, ours: BundleSubject
) -> None:
    spec = found(validated, peers, embeddings)[label]
    peer: Subject = make_subject(spec.target, {**spec.arguments, "engine": {"threads": 1}})
    peer.load()
    g = ours.geometry
    assert peer.geometry == g
    tokens = np.full((g.grid_height, g.grid_width), g.mask_token_id, np.int64)
    tokens.flat[::2] = 1
    rows = np.flatnonzero(tokens == g.mask_token_id)
    a, b = (each.logits(PROMPT, settings)(0, tokens, rows) for each in (ours, peer))
    assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max()
    drawn = draw_tokens(ours.logits(PROMPT, settings), g, settings, seed=0, picture=0)
    pictures = [each.decode(drawn).astype(int) for each in (ours, peer)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    images = peer.draw(PROMPT, settings, 0, 2)
    assert (images.shape, images.dtype) == ((2, g.image_height, g.image_width, 3), np.uint8)
    stages = peer.stages(PROMPT, settings, 2)
    assert set(stages) == {"denoiser", "image_decoder"}
    for stage in stages.values():
        stage()
    peer.close()


def test_plain_graphs_are_audited(validated: Validated, peers: Path, embeddings: Path) -> None:
    spec = found(validated, peers, embeddings)["plain-onnx-fp32"]
    audits = make_subject(spec.target, spec.arguments).audit(PROMPT, SETTINGS)
    assert {name: set(audit.shares(products=True)) for name, audit in audits.items()} == {
        "denoiser": {"float32"},
        "image_decoder": {"float32"},
    }


@pytest.mark.parametrize(("flags", "there"), [(("avx2",), False), (("avx512_bf16",), True), (("bf16",), True)])
def test_bfloat16_is_measured_where_the_cpu_has_it(
    flags: tuple[str, ...],
    there: bool,
    validated: Validated,
    peers: Path,
    embeddings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine: Any = type("Machine", (), {"flags": flags})()
    monkeypatch.setattr(specs, "environment", lambda: machine)
    listed, left_out = specs.peer_specs(validated.checkpoint, peers, embeddings)
    assert ("diffusers-bf16" in {spec.label for spec in listed}) is there
    assert ("diffusers-bf16" in left_out) is not there


def test_what_was_made_is_not_made_again(validated: Validated, peers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "_export", lambda *_: pytest.fail("made again"))
    make.make_peers(str(validated.checkpoint), validated.bundle, peers, Path("python"))
    assert read_json(peers / make.PLAIN / "peer.json")["geometry"]["codebook_size"] > 0
