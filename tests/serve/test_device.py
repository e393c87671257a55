"""`bench device`: what a phone sends becomes a row of the report; a Python program is the phone."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from scipy.special import log_softmax
from starlette.testclient import TestClient

from amused_edge import AmusedPipeline, EngineOptions, GenerationOptions
from amused_edge.benchmarks.device.collection import Collection, DevicePlan
from amused_edge.benchmarks.device.quality import Scales
from amused_edge.benchmarks.latency.measure import LatencyOptions
from amused_edge.benchmarks.subjects.bundle_subject import bundle_specs
from amused_edge.benchmarks.subjects.settings import settings_grid
from amused_edge.runtime.errors import AmusedEdgeError
from amused_edge.serve.shelf import Shelf
from tests.serve.conftest import BUNDLE
from tests.support.command import COMMAND
from tests.support.device_results import device_results
from tests.support.files import read_json

PROMPT, SEED, STEPS = "a fox", 3, 4


@pytest.fixture(scope="module")
def pipeline() -> Iterator[AmusedPipeline]:
    with AmusedPipeline.from_bundle(BUNDLE, EngineOptions(threads=1)) as pipeline:
        yield pipeline


@pytest.fixture
def collect(pipeline: AmusedPipeline, tmp_path: Path) -> Callable[[], Collection]:
    """Return `collect()`: opens the collection of one plan in one folder."""
    grid = settings_grid(BUNDLE, (STEPS,), None)
    options = LatencyOptions(PROMPT, SEED, grid, rounds=2)
    plan = DevicePlan(tuple(bundle_specs([BUNDLE])), options, "wasm", {"bundle": "bundle"})
    return lambda: Collection(plan, lambda: Scales(pipeline, PROMPT, grid[0], SEED), tmp_path / "out")


def sent(name: str = "Phone", **others: Any) -> dict[str, Any]:
    """What a phone sends, for the bundle of this repository."""
    return {**json.loads(json.dumps(device_results(name)).replace('"w8"', '"bundle"')), **others}


def measured(pipeline: AmusedPipeline, factor: float) -> tuple[dict[str, Any], list[Any]]:
    """Return what a phone sends whose logits are `factor` times right, and (right, its own) of each state."""
    options = GenerationOptions(SEED, steps=STEPS)
    steps = list(pipeline.stream(PROMPT, options))
    mask = pipeline.geometry.mask_token_id
    conditioning = pipeline.condition(["", PROMPT])
    scale = pipeline.settings(options).guidance_scale
    tokens, states, pairs = np.full_like(steps[0].tokens[0], mask), [], []
    for step in steps[:3]:
        rows = np.flatnonzero(tokens.reshape(-1) == mask)[::5]
        right = pipeline.guided_logits(tokens, rows, conditioning, scale)
        logits = base64.b64encode((factor * right).astype("<f4").tobytes()).decode()
        states.append({"step": step.index, "tokens": tokens.tolist(), "rows": rows.tolist(), "logits": logits})
        pairs.append((right.astype(np.float64), factor * right.astype(np.float64)))
        tokens = step.tokens[0]
    return {"label": "bundle", "tokens": steps[-1].tokens[0].tolist(), "states": states}, pairs


def test_a_phone_becomes_a_row(
    open_site: Callable[..., TestClient], collect: Callable[[], Collection], pipeline: AmusedPipeline, tmp_path: Path
) -> None:
    collection = collect()
    client = open_site(bench=collection)
    plan = client.get("/api/bundles").json()["device"]
    assert (plan["prompt"], plan["seed"], plan["rounds"], plan["settings"][0]["steps"]) == (PROMPT, SEED, 2, STEPS)
    assert (plan["subjects"][0]["label"], plan["subjects"][0]["bundle"], plan["quality"]["steps"]) == (
        *("bundle", "bundle"),
        [0, 2],
    )
    quality, pairs = measured(pipeline, 0.8)
    early = client.post("/api/device-results", json=sent(run="a", complete=False, quality=[quality]))
    assert (early.status_code, early.json()["complete"]) == (200, False)
    (told,) = early.json()["quality"]
    p, q = (log_softmax(np.concatenate(each), axis=1) for each in zip(*pairs, strict=True))
    np.testing.assert_allclose(told["mean_kl"], (np.exp(p) * (p - q)).sum(1).mean(), rtol=1e-4)
    assert (told["rows"], told["top1"], told["equal_tokens"]) == (len(p), 1.0, 1.0)
    assert told["equal_draws"] < 1  # noise weighs more against smaller logits
    assert not collection.wait(1, 0)
    for run, name in (("a", "Phone"), ("b", "Phone"), ("c", "Tablet")):  # the first one's quality is kept
        assert client.post("/api/device-results", json=sent(name, run=run)).json()["complete"]
    assert collection.wait(3, 0)
    collection.finish()
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    for name in ("Phone", "Phone (2)", "Tablet"):
        assert f"| {name}: bundle | 12 | 2 | 4 | 1 | 2.00 s" in report
    (row,) = [line for line in report.partition("## Quality")[2].splitlines() if line.startswith("| Phone: bundle |")][
        :1
    ]
    assert f"| {len(p)} | 100.0% |" in row
    runs = read_json(tmp_path / "out" / "results.json")["runs"]
    assert [len(run.get("quality", [])) for run in runs] == [1, 0, 0]
    assert read_json(tmp_path / "out" / "devices" / "2.json")["environment"]["device"] == "Tablet"


def test_what_came_is_kept_when_the_server_ends(collect: Callable[[], Collection], tmp_path: Path) -> None:
    collection = collect()
    collection.receive(sent(run="a", complete=False))
    collection._folder._lock.close()  # type: ignore[union-attr]  # as if its process were killed
    again = collect()
    again.receive(sent("Tablet", run="b"))
    again.receive(sent(run="a"))
    assert [run.device.device for run in again.finish()] == ["Phone", "Tablet"]


def test_nothing_came(collect: Callable[[], Collection], tmp_path: Path) -> None:
    with pytest.raises(AmusedEdgeError, match="no device sent results"):
        collect().finish()
    assert not (tmp_path / "out" / "results.json").exists()


def test_results_that_are_none(
    open_site: Callable[..., TestClient], collect: Callable[[], Collection], pipeline: AmusedPipeline, tmp_path: Path
) -> None:
    client = open_site(bench=collect())
    quality, _ = measured(pipeline, 1.0)
    state = quality["states"][0]

    def with_state(**others: Any) -> dict[str, Any]:
        return sent(quality=[{**quality, "states": [{**state, **others}]}])

    for content, words in (
        ({}, "lacks 'format'"),
        (sent(kind="quality"), "'quality'"),
        (sent(rounds=-1), "rounds is -1"),
        (json.loads(json.dumps(sent()).replace('"bundle"', '"w4"')), "the plan has: bundle"),
        (sent(run=7), "run is 7"),
        (sent(run="x" * 101), "at most 100"),
        (sent(complete="yes"), "complete is 'yes'"),
        (sent(notes="x" * 2**21), "characters"),
        (sent(quality={}), "quality is not a list"),
        (sent(quality=[{**quality, "states": []}]), "0 states"),
        (sent(quality=[{**quality, "states": [state] * 33}]), "33 states"),
        (sent(quality=[{**quality, "tokens": [[0]]}]), "no grid of 16 rows"),
        (sent(quality=[{**quality, "tokens": [[-1] * 16] * 16}]), "outside 0 to 255"),
        (sent(quality=[{**quality, "label": "w4"}]), "'w4'"),
        (with_state(rows=[]), "rows are none"),
        (with_state(rows=[0, 0]), "repeated"),
        (with_state(rows=[256]), "outside the grid"),
        (with_state(tokens=[[0] * 16] * 16), "not masked"),
        (with_state(step=-1), "step is -1"),
        (with_state(logits="!"), "not base64"),
        (with_state(logits="AAAA"), "3 bytes"),
        (with_state(logits=base64.b64encode(b"\xff" * 4 * 256 * len(state["rows"])).decode()), "no numbers"),
    ):
        answer = client.post("/api/device-results", json=content)
        assert answer.status_code == 400, words
        assert words in answer.json()["error"]["message"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["settings.json"]


def test_only_a_benchmark_takes_results(client: TestClient) -> None:
    answer = client.post("/api/device-results", json=sent())
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_bench")


def test_too_many_devices(collect: Callable[[], Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amused_edge.benchmarks.device.collection.MOST_DEVICES", 1)
    collection = collect()
    assert collection.receive(sent())["run"] == collection.receive(sent())["run"]  # the same device, by what it is
    with pytest.raises(AmusedEdgeError, match="no more results"):
        collection.receive(sent("Tablet"))


def test_the_command(tmp_path: Path, page: Path) -> None:
    """Until Ctrl-C. The page is not built in a checkout; the test puts one in its place."""
    start = (
        "import sys, pathlib\nfrom amused_edge.serve.http import page\n"
        f"page.FOLDER = pathlib.Path({str(page)!r})\npage.page_files.__defaults__ = (page.FOLDER,)\n"
        "from amused_edge.cli import main\nmain()"
    )
    options = ["--port", "0", "--out", "out", "--prompt", PROMPT]
    command = [str(Path(COMMAND[0]).with_name("python")), "-c", start, "bench", "device", str(BUNDLE), *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    utf8 = os.environ | {"PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, cwd=tmp_path, env=utf8, **pipes) as process:
        assert process.stdout is not None
        address = httpx2.URL(process.stdout.readline().strip())
        local = address.copy_with(host="127.0.0.1")
        with httpx2.Client(follow_redirects=True) as phone:
            assert "studio" in phone.get(local).text
            plan = phone.get(f"http://127.0.0.1:{address.port}/api/bundles").json()["device"]
            answer = phone.post(f"http://127.0.0.1:{address.port}/api/device-results", json=sent(run="a"))
            assert (plan["prompt"], answer.status_code) == (PROMPT, 200)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "out/report.html"
    assert any(letter in out for letter in "\u2588\u2580\u2584")
    assert "adb reverse" in err
    assert "Phone: done" in err
    assert "Phone: bundle" in (tmp_path / "out" / "report.md").read_text("utf-8")


def test_shelf_and_plan_name_bundles_alike() -> None:
    assert list(Shelf([BUNDLE, BUNDLE]).entries) == ["bundle", "bundle-2"]
    assert [spec.label for spec in bundle_specs([BUNDLE, BUNDLE])] == ["bundle", "bundle (2)"]
