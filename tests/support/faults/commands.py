"""Every command that writes, on sources that make it quick: a checkpoint of a few hundred kilobytes and its bundles."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.faults.judge import Command
from tests.support.faults.scene import Scene
from tests.support.paths import WEB

Makers = dict[str, Callable[[], Command]]

FEW = ("--steps", "2", "--quiet")
RUNTIME = ("amused_edge.runtime", "onnxruntime", "PIL.PngImagePlugin", "amused_edge.cli.program")
EXPORT = (*RUNTIME, "amused_edge.export.bundle_export")
QUANTIZE = (*RUNTIME, "amused_edge.quantization.quantize", "amused_edge.quantization.sensitivity.search")
BENCH = (*RUNTIME, "amused_edge.benchmarks.latency.bench", "amused_edge.benchmarks.quality.bench")

NOT_HERE = {
    "serve": "writes nothing but a certificate's file that is gone before it listens (tests/serve)",
    "bench device": "writes as `bench latency` does, by the same folder, what phones send (tests/serve/test_device.py)",
    "fit": "writes nothing",
    "inspect": "writes nothing; that the bundle was verified is kept in the cache, as `generate` does",
}
"""Commands that are not run here, and why."""


def drawing_commands(bundle: Path) -> Makers:
    """Return the commands that draw."""
    draw = ["generate", str(bundle), "a fox", *FEW]
    clip = ["video", str(bundle), "a fox", *FEW, "--frames", "3"]
    common: dict[str, Any] = {"sources": (bundle,), "modules": RUNTIME}
    fox = ["-o", "fox.png"]
    return {
        "generate": lambda: Command([*draw, *fox], **common),
        "generate, companions": lambda: Command([*draw, *fox, "--heatmap", "--reveal"], **common),
        "generate, previews": lambda: Command(
            [*draw, *fox, "--preview-dir", "previews"],
            prepare=_folder("previews"),
            inside=("previews",),
            one_by_one=True,
            **common,
        ),
        "generate, several": lambda: Command([*draw, "--count", "2", *fox], one_by_one=True, **common),
        "generate, sheet": lambda: Command([*draw, "--count", "2", "--sheet", "sheet.png"], **common),
        "generate, resume": lambda: Command(
            [*draw, "--count", "2", *fox, "--resume", "fox.json"], check={"fox.json": _picture_state}, **common
        ),
        "generate, cache": lambda: Command([*draw, *fox, "--cache"], **common),
        "cache, clear": lambda: Command(["cache", "--clear"], prepare=_filled_cache, **common),
        "video, WebP": lambda: Command([*clip, "-o", "fox.webp"], **common),
        "video, MP4": lambda: Command([*clip, "-o", "fox.mp4"], **{**common, "modules": (*RUNTIME, "av")}),
        "video, frames and resume": lambda: Command(
            [*clip, "-o", "fox.png", "--frames-out", "frames", "--resume", "clip.json"],
            prepare=_folder("frames"),
            inside=("frames",),
            check={"clip.json": _clip_state},
            **common,
        ),
    }


def npm_commands(bundle: Path) -> Makers:
    """Return the commands of the npm package, which must be built."""
    built = WEB / "build" / "src" / "node" / "command.js"
    draw = ["generate", str(bundle), "a fox", *FEW, "-o", "fox.png"]
    common: dict[str, Any] = {"sources": (bundle,), "program": (shutil.which("node") or "node", str(built))}
    return {
        "npm, generate": lambda: Command(draw, **common),
        "npm, generate, several": lambda: Command([*draw, "--count", "2"], one_by_one=True, **common),
    }


def bundle_commands(sources: dict[str, Path]) -> Makers:
    """Return the commands that make bundles: of a checkpoint, and of other bundles by target."""
    checkpoint, onnx, lora = sources["checkpoint"], sources["onnx"], sources["lora"]
    few = ["--fidelity-prompts", "1", "--prompts", str(sources["prompts"]), "--quiet"]
    calibrated = ["--calibration-prompts", "1", *few]
    size = ["--height", "8", "--width", "12"]
    made: Makers = {
        "lora": lambda: Command(
            ["lora", str(onnx), str(lora), "out", "--quiet"], (onnx, lora), modules=(*RUNTIME, "safetensors.numpy")
        ),
        "quantize, sensitivity": lambda: Command(
            ["quantize", str(onnx), "out", "--recipe", "w4", "--sensitivity", "--max-kl", "1", *calibrated],
            (onnx,),
            modules=QUANTIZE,
        ),
        "card": lambda: Command(
            ["card", "bundle"], (onnx,), prepare=_without_card(onnx), inside=("bundle",), modules=RUNTIME
        ),
        "validate": lambda: Command(
            ["validate", str(checkpoint), "out", "--recipe", "w8a8", *calibrated],
            (checkpoint,),
            check={"out": _validated},
            modules=(*EXPORT, *QUANTIZE),
            target="onnx",
        ),
    }
    for target, recipe in (("onnx", "w8a8"), ("coreml", "w8"), ("coreai", "w8")):
        sampler = ["--with-sampler"] if target == "onnx" else []
        export = ["export", str(checkpoint), "out", "--target", target, *FEW, *size, *sampler]
        made[f"export, {target}"] = _maker(export, checkpoint, EXPORT, target)
        quantize = ["quantize", str(sources[target]), "out", "--recipe", recipe, *calibrated]
        made[f"quantize, {target}"] = _maker(quantize, sources[target], QUANTIZE)
    return made


def bench_commands(bundle: Path, device_results: Path, prompts: Path) -> Makers:
    """Return the commands that measure."""
    out = ["--out", "bench", "--quiet"]
    latency = ["--rounds", "1", "--steps", "2", "--calls", "1", "--threads", "1"]
    few = ["--steps", "2", "--prompts", str(prompts)]
    search = ["--steps", "1,2", "--search", "9", "--count", "16", "--rounds", "1"]
    common: dict[str, Any] = {"inside": ("bench",), "check": {"bench/*": _run_file}, "modules": BENCH}
    both = [str(bundle), str(bundle)]
    return {
        "bench, latency": lambda: Command(["bench", "latency", *both, *latency, *out], (bundle,), **common),
        "bench, quality": lambda: Command(["bench", "quality", *both, *few, *out], (bundle,), **common),
        "bench, compare": lambda: Command(
            ["bench", "compare", str(bundle), *few, "--rounds", "1", *out], (bundle,), **common
        ),
        "bench, search": lambda: Command(["bench", "compare", str(bundle), *search, *out], (bundle,), **common),
        "bench, import": lambda: Command(
            ["bench", "import", str(device_results), "bench", "--quiet"], (device_results,), **common
        ),
    }


def _maker(arguments: list[str], source: Path, modules: tuple[str, ...], target: str = "") -> Callable[[], Command]:
    return lambda: Command(arguments, (source,), modules=modules, target=target)


def _folder(name: str) -> Callable[[Scene], None]:
    return lambda scene: (scene.root / "place" / name).mkdir()


def _without_card(bundle: Path) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        shutil.copytree(bundle, scene.root / "place" / "bundle", ignore=shutil.ignore_patterns("README.md"))

    return prepare


def _validated(folder: Path) -> None:
    """Where a recipe failed, the report says so; what it says was made is whole: hours of work are not thrown away."""
    from amused_edge.runtime.bundle.folder import Bundle
    from amused_edge.runtime.bundle.verification import verify

    report = json.loads((folder / "report.json").read_text())
    if {*report["bundles"], *report["failures"]} != {"fp32", "w8a8"} or "fp32" not in report["bundles"]:
        raise ValueError(f"the report tells of {sorted(report['bundles'])}, {report['failures']}")
    accounts = {f"{name}.account.{kind}" for name in report["bundles"] if name != "fp32" for kind in ("md", "json")}
    expected = {"report.md", "report.json", *report["bundles"], *accounts}
    if (there := {path.name for path in folder.iterdir()}) != expected:
        raise ValueError(f"{sorted(there ^ expected)} are there and should not be, or the other way round")
    for name, manifest in report["bundles"].items():
        verify(Bundle.open(folder / name))
        if json.loads((folder / name / "manifest.json").read_text()) != manifest:
            raise ValueError(f"the report has another manifest of {name}")


def _filled_cache(scene: Scene) -> None:
    """Put what counts as prepared graphs into the cache."""
    for key in ("a" * 64, "b" * 64):
        entry = scene.root / "cache" / "amused-edge" / "prepared" / key
        entry.mkdir(parents=True)
        (entry / "model.onnx").write_bytes(bytes(1000))
        (entry / "entry.json").write_text(json.dumps({"label": "a graph", "files": {}}))


def _picture_state(path: Path) -> Any:
    from amused_edge.runtime import PictureState

    return PictureState.load(path)


def _clip_state(path: Path) -> Any:
    from amused_edge.runtime import ClipState

    return ClipState.load(path)


def _run_file(path: Path) -> None:
    """Raise if a file of a benchmark's run is not whole."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl":
        whole, _, _ = path.read_bytes().rpartition(b"\n")  # what a killed run left of a line is cut off by the next
        [json.loads(line) for line in whole.splitlines()]
    elif path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("it does not end")
    elif path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            image.load()
