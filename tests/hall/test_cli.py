"""The command line: exit codes, one-line errors, files."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime.bundle.verification import sha256
from tests.support.command import COMMAND, fails
from tests.support.command import run as start
from tests.support.in_process import Run


@contextlib.contextmanager
def edited_golden(bundle: Path) -> Iterator[dict[str, Any]]:
    """Give the content of golden.json to change; afterwards the manifest agrees with the file."""
    golden, manifest = bundle / "golden.json", bundle / "manifest.json"
    content = json.loads(golden.read_text())
    yield content
    golden.write_text(json.dumps(content))
    entry = json.loads(manifest.read_text())
    entry["files"]["golden.json"] |= {"bytes": golden.stat().st_size, "sha256": sha256(golden)}
    manifest.write_text(json.dumps(entry))


def test_generate_writes_one_picture(demo_bundle: Path, tmp_path: Path) -> None:
    result = start("generate", demo_bundle, "a panda", "--steps", "2", "-o", "panda.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["panda.png"]
    assert result.stderr == ""  # no progress bar where there is no terminal
    with Image.open(tmp_path / "panda.png") as picture:
        assert picture.size == (64, 64)
        assert picture.mode == "RGB"


def test_generate_equals_the_python_api(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    from amused_edge import AmusedPipeline, GenerationOptions, TextToImage

    args = ["--count", "2", "--seed", "3", "--steps", "3", "--guidance", "2", "--temperature", "1,0.5", "-o", "x.png"]
    result = run("generate", demo_bundle, "a fox", *args, "--schedule", "linear", "--negative", "blue", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    options = GenerationOptions(seed=3, steps=3, guidance_scale=2.0, temperature=(1.0, 0.5), schedule="linear")
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        images = pipeline.generate(TextToImage("a fox", "blue", pictures_per_prompt=2), options).images
    for index in range(2):
        with Image.open(tmp_path / f"x-{index}.png") as picture:
            assert np.array_equal(np.asarray(picture), images[index])


def test_generate_names_the_picture_after_the_prompt(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    result = run("generate", demo_bundle, "A Fox! ../é", "--steps", "1", "--seed", "7", "--quiet", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert [p.name for p in tmp_path.glob("*.png")] == ["a-fox-é-7.png"]


def test_generate_sheet(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    args = ["--sheet", "s.png", "--columns", "2", "--scale", "2", "--steps", "1"]
    result = run("generate", demo_bundle, "a fox", "a panda", "an owl", *args, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width > 256
        assert sheet.height > 256


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--steps", "0"], ["steps is 0"]),
        (["--seed", "-1"], ["seed is -1"]),
        (["--guidance", "nan"], ["guidance_scale is nan"]),
        (["--count", "0"], ["pictures_per_prompt is 0"]),
        (["-o", "x.jpg"], ["x.jpg", ".png"]),
        (["-o", "nowhere/x.png"], ["folder nowhere does not exist"]),
        (["-o", "taken.png"], ["taken.png exists"]),
        (["--threads", "0"], ["threads is 0"]),
    ],
)
def test_generate_refuses_bad_input_and_leaves_nothing(
    demo_bundle: Path, tmp_path: Path, args: list[str], words: list[str], run: Run
) -> None:
    (tmp_path / "taken.png").write_bytes(b"mine")
    fails(run("generate", demo_bundle, "a fox", *args, cwd=tmp_path), 2, *words)
    assert [p.name for p in tmp_path.iterdir()] == ["taken.png"]
    assert (tmp_path / "taken.png").read_bytes() == b"mine"


def test_usage_errors_have_exit_code_2(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    assert run("generate", demo_bundle, cwd=tmp_path).returncode == 2
    assert run("generate", demo_bundle, "x", "--temperature", "a", cwd=tmp_path).returncode == 2
    assert run("nonsense", cwd=tmp_path).returncode == 2


def test_a_folder_that_is_no_bundle(tmp_path: Path, run: Run) -> None:
    fails(run("generate", tmp_path, "a fox", cwd=tmp_path), 1, "is not a bundle", "amused-edge export")
    fails(run("inspect", tmp_path / "missing", cwd=tmp_path), 1, "is not a bundle")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = start("--debug", "inspect", tmp_path, cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "BundleError" in result.stderr


def test_export_refuses_what_is_no_checkpoint(tmp_path: Path, run: Run) -> None:
    (tmp_path / "folder").mkdir()
    fails(run("export", "folder", "out", cwd=tmp_path), 1, "model_index.json", "diffusers layout")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_export_refuses_a_place_that_is_taken(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "place"
    (place / "folder").mkdir(parents=True)
    fails(run("export", "folder", "folder", cwd=place), 2, "folder exists")
    assert [path.name for path in place.rglob("*")] == ["folder"]


def test_inspect_shows_and_verifies(demo_bundle: Path, tmp_path: Path) -> None:
    result = start("inspect", demo_bundle, "--verify", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for word in ("64 x 64", "denoiser", "parity", "hashes      all right", "100.00% of tokens equal"):
        assert word in result.stdout


LOGITS = {
    "generations": 8,
    "rows": 16600,
    "mean_kl": 2.5e-4,
    "max_kl": 0.03,
    "total_variation": 0.004,
    "top1": 0.99,
    "top5": 0.98,
    "equal_draws": 0.98765,
    "confidence_correlation": 0.999,
    "max_logit_error": 3.2e-3,
}
PICTURES = {"psnr": 41.26, "worst_psnr": 38.0, "ssim": 0.99, "equal_codes": 0.95}


def inspected(run: Run, bundle: Path, cwd: Path, **changes: object) -> list[str]:
    """The lines that `inspect` prints of a bundle whose manifest has these values."""
    file = bundle / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    result = run("inspect", bundle, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_inspect_shows_the_parity_of_an_export(bundle_copy: Path, tmp_path: Path, run: Run) -> None:
    roles = {"text_encoder": {"hidden_states": 5.43e-7, "pooled": 2e-7}, "image_decoder": {"image": 1.0}}
    parity = {"roles": roles, "logits": LOGITS, "pictures": PICTURES}
    lines = inspected(run, bundle_copy, tmp_path, parity=parity)
    assert lines[-3:] == [
        "parity      text_encoder: hidden_states 5.4e-07, pooled 2.0e-07",
        "parity      image_decoder: image 1.0e+00",
        "parity      8 generations: mean KL 2.5e-04 nats, logits 3.2e-03, equal draws 98.77%, pictures 41.3 dB",
    ]
    assert not [line for line in lines if line.startswith(("recipe", "fidelity"))]


def test_inspect_shows_how_a_bundle_was_quantized(bundle_copy: Path, tmp_path: Path, run: Run) -> None:
    """And no parity, which is the parent's; pictures without a difference have no decibels."""
    quantization = {
        "recipe": {"name": "w8"},
        "parent": "0123456789abcdef" * 4,
        "logits": LOGITS,
        "pictures": {**PICTURES, "psnr": None, "worst_psnr": None},
    }
    lines = inspected(run, bundle_copy, tmp_path, parity=None, quantization=quantization)
    assert lines[-2:] == [
        "recipe      'w8', of the bundle 0123456789ab",
        "fidelity    8 generations: mean KL 2.5e-04 nats, logits 3.2e-03, equal draws 98.77%, pictures equal",
    ]
    assert not [line for line in lines if line.startswith("parity")]


def test_inspect_says_one_generation_of_one(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    result = run("inspect", demo_bundle, cwd=tmp_path)
    assert "parity      1 generation: mean KL" in result.stdout


def test_inspect_shows_a_bundle_that_nobody_measured(bundle_copy: Path, tmp_path: Path, run: Run) -> None:
    lines = inspected(run, bundle_copy, tmp_path, parity=None, quantization=None)
    assert lines[-1].startswith("image_encoder ")
    assert lines[-1].endswith("stored float32, executed float32")


@pytest.mark.parametrize(
    ("name", "parent", "line"),
    [
        ("a\nb\x1b[2J", "0123456789abcdef", "recipe      'a\\nb\\x1b[2J', of the bundle 0123456789ab"),
        ("w8", "0\n1\x1b[2J", None),
    ],
    ids=["name", "parent"],
)
def test_inspect_keeps_a_manifests_text_on_its_line(
    bundle_copy: Path, tmp_path: Path, name: str, parent: str, line: str | None, run: Run
) -> None:
    """It comes from a file that somebody else wrote: no line breaks, no control of the terminal."""
    quantization = {"recipe": {"name": name}, "parent": parent, "logits": LOGITS, "pictures": PICTURES}
    lines = inspected(run, bundle_copy, tmp_path, parity=None, quantization=quantization)
    assert lines[-2].startswith("recipe      '")
    assert line is None or lines[-2] == line
    assert "\x1b" not in "".join(lines)


def test_inspect_finds_damage(bundle_copy: Path, tmp_path: Path, run: Run) -> None:
    weights = bundle_copy / "denoiser.onnx.data"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    assert run("inspect", bundle_copy, cwd=tmp_path).returncode == 0  # opening is cheap and does not read weights
    result = run("inspect", bundle_copy, "--verify", cwd=tmp_path)
    assert result.returncode == 1
    assert "denoiser.onnx.data is damaged" in result.stderr


def test_inspect_fails_when_the_golden_output_is_not_reproduced(bundle_copy: Path, tmp_path: Path, run: Run) -> None:
    with edited_golden(bundle_copy) as content:
        content["logits"][0] += 10.0
    result = run("inspect", bundle_copy, "--verify", cwd=tmp_path)
    assert result.returncode == 1
    assert "does not reproduce the golden output" in result.stderr


def test_a_lone_surrogate_is_refused(demo_bundle: Path, tmp_path: Path) -> None:
    """Bytes on the command line that are no UTF-8 reach Python as lone surrogates."""
    result = subprocess.run(
        [*COMMAND, "generate", str(demo_bundle), b"fox \xff", "-o", "x.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    fails(result, 2, "not valid Unicode")
    assert not list(tmp_path.glob("*.png"))


def test_version() -> None:
    assert shutil.which(COMMAND[0])
    result = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert "amused-edge" in result.stdout


def test_a_prompt_in_long_letters_gives_a_short_name(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    result = run("generate", demo_bundle, "\U0001d41a" * 70, "--steps", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (name,) = [path.name for path in tmp_path.glob("*.png")]
    assert len(name.encode()) < 80


def test_a_name_that_is_too_long_is_one_line_too(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    fails(run("generate", demo_bundle, "x", "-o", "x" * 300 + ".png", cwd=tmp_path), 2, "File name too long")


@pytest.mark.parametrize(("name", "value"), [("pixels", 255), ("input_ids", -1)])
def test_inspect_judges_the_decoder_and_the_tokenizer(
    bundle_copy: Path, tmp_path: Path, name: str, value: int, run: Run
) -> None:
    with edited_golden(bundle_copy) as content:
        content[name][1] = abs(value - content[name][1])
    result = run("inspect", bundle_copy, "--verify", cwd=tmp_path)
    assert result.returncode == 1
    assert "does not reproduce the golden output" in result.stderr


def test_a_golden_prompt_of_another_version_is_used(bundle_copy: Path) -> None:
    """The prompt stands in the bundle, which never changes; the program's own may."""
    from amused_edge import AmusedPipeline
    from amused_edge.runtime import golden_check as golden

    with AmusedPipeline.from_bundle(bundle_copy) as pipeline:
        (bundle_copy / "golden.json").write_text(golden.draw(pipeline, "a panda").to_json())
        assert golden.compare(pipeline).reproduced
        assert golden.compare(pipeline).equal_tokens == 1.0
