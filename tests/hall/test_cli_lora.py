"""`lora`, the options of `export` for fine-tunes, and `generate --weights`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from amused_edge.runtime.pictures import read_parameters
from tests.support.in_process import Cli, one_line, usage
from tests.support.paths import DEMO_CHECKPOINT, ROOT

LORA = ROOT / "demo" / "lora"
QUICK = ("--steps", "2", "--quiet")


def nothing_left() -> bool:
    return not list(Path().iterdir())


def test_a_lora_is_added_and_shown(cli: Cli, demo_bundle: Path) -> None:
    said = cli("lora", demo_bundle, f"{LORA}:0.5", "out")
    assert said.code == 0, said
    assert "rank 8, scale 2, weight 0.5, 114 layers" in said.out
    shown = cli("inspect", "out", "--verify")
    assert shown.code == 0, shown
    assert "lora        lora (rank 8, scale 2, weight 0.5, 114 layers)" in shown.out
    assert "parity" not in shown.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("B", "no-such", "out"), 1, ("no-such", "OWNER/NAME")),
        (("B", f"{LORA}:0", "out"), 2, ("weight", "0")),
        (("B", LORA, "out", "--lora-scale", "2"), 1, ("each file says its own",)),
        (("B", "bad.safetensors", "out"), 1, ("nearest", "attn1.to_q")),
        ((ROOT / "demo" / "bundle", LORA, "out"), 1, ("quantized", "float32 bundle")),
        (("B", LORA, "B"), 2, ("exists",)),
        ((LORA, LORA, "out"), 1, ("not a bundle",)),
    ],
)
def test_what_lora_refuses(
    cli: Cli, demo_bundle: Path, arguments: tuple[str | Path, ...], code: int, words: tuple[str, ...]
) -> None:
    bad = "transformer.transformer_layers.0.attn.to_q.lora_A.weight"
    if "bad.safetensors" in arguments:
        save_file({bad: np.ones((1, 256), np.float32)}, "bad.safetensors")
    one_line(cli("lora", *(demo_bundle if word == "B" else word for word in arguments)), code, *words)
    Path("bad.safetensors").unlink(missing_ok=True)
    assert nothing_left()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lora", "no-such"), ("no-such",)),
        (("--lora-scale", "2"), ("no LoRA",)),
        (("--transformer", LORA), ("holds a LoRA", "--lora")),
        (("--transformer", DEMO_CHECKPOINT / "vqvae"), ("VQModel",)),
        (("--transformer", "."), ("holds no transformer",)),
    ],
)
def test_what_export_refuses(cli: Cli, options: tuple[str | Path, ...], words: tuple[str, ...]) -> None:
    one_line(cli("export", DEMO_CHECKPOINT, "out", *options), 1, *words)
    assert nothing_left()


def test_weights_are_off_unless_asked_for(cli: Cli) -> None:
    bundle = ROOT / "demo" / "bundle"
    for file, prompt, *options in (
        ("off.png", "a (fox:1.5)"),
        ("on.png", "a (fox:1.5)", "--weights", "--negative", "[red]"),
        ("none.png", "a fox", "--weights"),
        ("plain.png", "a fox"),
    ):
        assert cli("generate", bundle, prompt, "-o", file, *options, *QUICK).code == 0
    assert cli("generate", bundle, "--like", "on.png", "-o", "again.png", "--quiet").code == 0
    assert Path("again.png").read_bytes() == Path("on.png").read_bytes()
    assert Path("none.png").read_bytes() == Path("plain.png").read_bytes()
    assert '"prompt": {"weighted_text": "a (fox:1.5)"}' in read_parameters(Path("on.png"))
    assert '"prompt": "a (fox:1.5)"' in read_parameters(Path("off.png"))
    assert (np.asarray(Image.open("on.png")) != np.asarray(Image.open("plain.png"))).any()
    usage(cli("generate", bundle, "--like", "on.png", "--weights", "-o", "x.png"), "--weights does not go with --like")


@pytest.mark.parametrize(("prompt", "word"), [("a (fox", "no partner"), ("(a:-2)", "weight -2"), ("[a:2]", "round")])
def test_bad_weights(cli: Cli, prompt: str, word: str) -> None:
    bundle = ROOT / "demo" / "bundle"
    one_line(cli("generate", bundle, prompt, "--weights", "-o", "a.png"), 2, word)
    one_line(cli("generate", bundle, "a fox", "--negative", prompt, "--weights", "-o", "a.png"), 2, word)
    assert nothing_left()
