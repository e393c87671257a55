"""`push`, `card`, and bundles of the hub wherever the command line takes a bundle."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from amused_edge.runtime import Bundle
from amused_edge.runtime.bundle.card.text import card_bytes
from tests.support.command import COMMAND
from tests.support.hub_client import environment, point_at
from tests.support.in_process import Cli, one_line, usage
from tests.support.loopback_hub import TOKEN, LoopbackHub, loopback_hub
from tests.support.paths import ROOT

DEMO = ROOT / "demo" / "bundle"
ID = "me/mine"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub() as served:
        point_at(served, tmp_path / "home", monkeypatch, token=TOKEN)
        yield served


def test_a_dry_run_says_all_and_sends_nothing(cli: Cli, hub: LoopbackHub) -> None:
    result = cli("push", DEMO, f"{ID}/w8", "--private", "--dry-run")
    lines = result.out.splitlines()
    assert (result.code, lines[0]) == (0, "me/mine/w8: to be made, private")
    assert any(line.split() == ["send", "7.7", "MB", "w8/denoiser.onnx.data"] for line in lines)
    assert lines[-1] == f"{len(lines) - 2} to send, 16.5 MB; 0 there already"
    assert hub.written() == []
    assert hub.repositories == {}


def test_push_then_draw_in_processes_of_their_own(hub: LoopbackHub, tmp_path: Path) -> None:
    """As a user does, with the hub's own variables. The second time nobody is asked."""

    def call(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        settings = environment(hub, tmp_path / "fresh", **variables)
        command = [*COMMAND, *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)

    pushed = call("push", DEMO, ID)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.splitlines()[-1].startswith(f"{hub.url}/{ID}/commit/")
    assert pushed.stderr == ""  # bars are for terminals
    hub.asked.clear()
    for name in ("a.png", "b.png"):
        offline = {"HF_HUB_OFFLINE": "1"} if name == "b.png" else {}
        drawn = call("generate", ID, "a fox", "--steps", "1", "-o", name, **offline)
        assert (drawn.returncode, drawn.stdout, drawn.stderr) == (0, f"{name}\n", "")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not any("image_encoder" in place or "README" in place for place in hub.fetched())
    assert {line.split()[1].split("/")[1] for line in hub.asked} == {"me"}  # nothing but the repository's files


def test_inspect_fetches_no_weights(cli: Cli, hub: LoopbackHub) -> None:
    hub.add(ID, DEMO)
    here, there = cli("inspect", DEMO), cli("inspect", ID)
    assert (there.code, there.out) == (0, here.out)
    assert hub.fetched() == ["manifest.json"]


def test_a_benchmark_fetches_what_it_measures(cli: Cli, hub: LoopbackHub) -> None:
    """Its children open the same commit by its address."""
    from amused_edge.benchmarks.subjects.bundle_subject import BundleSubject, bundle_specs

    hub.add(ID, DEMO, "w8/")
    (spec,) = bundle_specs([Path(f"{ID}/w8")])
    assert spec.label == "w8"
    assert not any("image_encoder" in place for place in hub.fetched())
    hub.asked.clear()
    subject = BundleSubject(**spec.arguments)
    subject.load()
    subject.close()
    assert hub.asked == []


def test_what_is_served_is_all_here(hub: LoopbackHub, tmp_path: Path) -> None:
    from amused_edge.serve.shelf import Shelf

    hub.add(ID, DEMO)
    shelf = Shelf([Path(ID)])
    (entry,) = shelf.entries.values()
    assert entry.id == "mine"
    hub.asked.clear()
    assert entry.file("image_encoder.onnx") is not None
    with shelf.pipeline("mine") as pipeline:
        pipeline.graph("image_encoder")
    assert hub.asked == []


@pytest.mark.parametrize("option", ["--token", "--hf-token", "--api-token", "--access-token"])
@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(
    option: str, form: str, cli: Cli, hub: LoopbackHub
) -> None:
    result = cli("push", DEMO, ID, *form.format(option, "hf_secretsecret").split())
    usage(result, "a token does not belong on a command line", "hf auth login", "HF_TOKEN")
    assert "secretsecret" not in result.err
    assert hub.asked == []
    assert "--token" not in cli("push", "--help").out


def test_refusals_are_one_line(cli: Cli, hub: LoopbackHub) -> None:
    one_line(cli("push", DEMO, "mine"), 2, "'mine' is no hub id; give OWNER/NAME")
    one_line(cli("generate", "me/absent", "a fox"), 1, "me/absent is no folder here", "no such model")
    hub.add(ID, DEMO)
    one_line(cli("push", DEMO, ID, "--private"), 2, "me/mine is there and public")


def test_where_nobody_answers_a_line_says_so(tmp_path: Path) -> None:
    """The hub's client told of each of its tries before."""
    code = "import sys, time; time.sleep = lambda _: None; from amused_edge.cli import main; main()"
    command = [sys.executable, "-c", code, "generate", "owner/name", "a fox"]
    ours = ("HF_HUB_VERBOSITY", "HF_HUB_OFFLINE")
    nobody = {name: value for name, value in os.environ.items() if name not in ours}
    nobody["HF_ENDPOINT"] = "http://127.0.0.1:9"
    done = subprocess.run(command, cwd=tmp_path, env=nobody, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("amused-edge: owner/name is no folder here, nor could it be downloaded from the hub")
    assert "Connection refused" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_without_the_library_a_line_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (("generate", ID, "a fox"), ("push", DEMO, ID), ("quantize", ID, "out", "--recipe", "w8")):
        one_line(cli(*words), 1, "huggingface_hub is needed: pip install 'amused-edge[hub]'")
    assert cli("inspect", DEMO).code == 0


def test_card_writes_prints_and_keeps(cli: Cli, cardless: Path) -> None:
    card = cardless / "README.md"
    expected = card_bytes(Bundle.open(cardless).manifest)
    assert cli("card", cardless).out == f"{card}\n"
    assert card.read_bytes() == expected
    card.write_text("mine")
    one_line(cli("card", cardless), 2, "README.md was edited", "--force")
    assert cli("card", cardless, "--print").out.encode() == expected
    assert card.read_text() == "mine"
    assert cli("card", cardless, "--force").code == 0
    assert card.read_bytes() == expected


@pytest.fixture
def cardless(tmp_path: Path) -> Path:
    """A copy of the demo without its card."""
    return Path(shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("README.md")))


def test_local_bundles_load_nothing_of_the_hubs(tmp_path: Path) -> None:
    """Its library takes a good part of a second to import."""
    code = (
        "import json, sys; from amused_edge import AmusedPipeline; "
        "AmusedPipeline.from_bundle(sys.argv[1]).close(); import amused_edge.cli.program; "
        "print(json.dumps([name for name in ('huggingface_hub', 'tqdm', 'httpx') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, DEMO], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
