"""What the npm package and the Python runtime hand to each other: states and PNG files, in both directions."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime import AmusedPipeline, GenerationOptions, PictureState
from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.pictures import read_parameters, write_png
from amused_edge.runtime.tasks.parameters import PictureParameters
from tests.support.paths import ROOT, WEB

NPM, NODE = shutil.which("npm"), shutil.which("node")
PROMPT, ODD = "a red fox on a blue background", 'ein "Füchslein" \U0001f98a \\ \t é'


def draw(programs: Path, bundle: Path, request: dict[str, Any], engine: str = "node") -> list[dict[str, Any]]:
    quickly = ["--liftoff-only"] if engine == "wasm" else []  # few steps are drawn sooner than V8 optimizes the engine
    command = [str(NODE), *quickly, str(programs / "test" / "programs" / "draw.js"), engine, str(bundle)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
    answer: list[dict[str, Any]] = json.loads(done.stdout)["answer"]
    return answer


def steps_of(pipeline: AmusedPipeline, state: PictureState) -> tuple[list[IntArray], list[PictureState]]:
    """Go on to the end: tokens and states after every step."""
    tokens, states = [], [state]
    for step in pipeline.resume(state):
        states.append(states[-1].after(step))
        tokens.append(step.tokens[0].reshape(-1))
    return tokens, states


@pytest.mark.parametrize("engine", ["node", "wasm"])
@pytest.mark.parametrize(("recipe", "equal"), [("", 0.999), ("fp16", 0.995), ("w4", 0.999), ("w8a8", 0.95)])
def test_every_step_of_each_recipe_has_pythons_tokens(
    programs: Path, demo_bundle: Path, quantized_demo: Callable[[str], Path], recipe: str, equal: float, engine: str
) -> None:
    """From Python's state before each step, so that a near-tie changes one step and not all that follow. Kernels in 8
    bits round otherwise on WebAssembly, which is slow and draws every third step; the vectors say of each decision how
    near it was.
    """
    bundle = quantized_demo(recipe) if recipe else demo_bundle
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        (begun,) = pipeline.begin(PROMPT, GenerationOptions(seed=5))
        expected, states = steps_of(pipeline, begun)
        picture = pipeline.finish(states[-1]).image
    assert len(expected) == 12
    places = range(0, 12, 3 if engine == "wasm" else 1)
    steps = [[states[place].to_json(), place + 1] for place in (*places, 12)]
    drawn = draw(programs, bundle, {"resume": steps}, engine)
    ours = np.array([one["history"][0] for one in drawn[:-1]])
    assert (ours == np.array([expected[place] for place in places])).mean() >= equal
    difference = np.abs(np.array(drawn[-1]["image"]) - picture.reshape(-1).astype(np.int64))
    assert difference.max() <= (8 if recipe == "w8a8" else 1)


def test_a_state_goes_on_in_the_other_runtime(programs: Path, demo_bundle: Path) -> None:
    options = GenerationOptions(seed=2**64 - 1, steps=6, guidance_scale=3.5)
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        (begun,) = pipeline.begin(ODD, options)
        expected, states = steps_of(pipeline, begun)
        picture = pipeline.finish(states[-1])
        asked = {"seed": str(2**64 - 1), "steps": 6, "guidanceScale": 3.5, "prompt": ODD, "stop": 3}
        *resumed, stopped = draw(
            programs,
            demo_bundle,
            {"resume": [states[stop].to_json() for stop in (0, 3, 6)], "pictures": [asked]},
        )
        for one, stop in zip(resumed, (0, 3, 6), strict=True):
            assert [list(tokens) for tokens in expected[stop:]] == one["history"]
            assert np.array_equal(picture.image.reshape(-1), one["image"])
        back = PictureState.from_json(stopped["state"])
        assert (back.next_step, back.parameters) == (3, states[3].parameters)
        again, _ = steps_of(pipeline, back)
        assert np.array_equal(again, expected[3:])


def test_parameters_are_the_same_and_read_by_each_other(programs: Path, demo_bundle: Path, tmp_path: Path) -> None:
    """The command draws a picture again from the file that Python wrote, and the other way round."""
    command = [str(NODE), str(programs / "src" / "node" / "command.js"), "generate", str(demo_bundle)]
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        (drawn,) = pipeline.pictures(ODD, GenerationOptions(seed=9, steps=3))
        write_png(drawn.image, tmp_path / "python.png", drawn.parameters.to_json())
        subprocess.run([*command, "--like", "python.png", "-o", "web.png", "-q"], cwd=tmp_path, check=True)
        parameters = PictureParameters.from_json(read_parameters(tmp_path / "web.png"))
        assert parameters == drawn.parameters
        assert np.array_equal(np.asarray(Image.open(tmp_path / "web.png")), drawn.image)
        (again,) = pipeline.pictures(parameters.restore(), parameters.options())
        assert np.array_equal(again.image, drawn.image)


def test_letters_and_numbers_are_those_of_the_tokenizers_library() -> None:
    made = subprocess.run(
        [sys.executable, str(WEB / "scripts" / "unicode_ranges.py")], capture_output=True, text=True, check=True
    )
    committed = (WEB / "src" / "drawing" / "unicode-ranges.ts").read_text()

    def classes(text: str) -> list[str]:
        return ["".join(part.split('"')[1::2]) for part in text.split("export const")[1:]]

    assert classes(made.stdout) == classes(committed)


def test_what_is_packed_holds_all_that_it_exports(programs: Path) -> None:
    """A package without its compiled half was packed as the guide said: .npmrc turns scripts off, `prepack` too."""
    described = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    assert not {"prepack", "prepare", "prepublishOnly"} & set(described["scripts"])
    guide = (ROOT / "docs" / "web.md").read_text(encoding="utf-8")
    assert "npm ci && npm run build && npm pack " in guide
    listed = subprocess.run([str(NPM), "pack", "--dry-run", "--json"], cwd=WEB, check=True, capture_output=True)
    packed = {file["path"] for file in json.loads(listed.stdout)[0]["files"]}
    for place in (*described["exports"].values(), *described["bin"].values()):
        assert place.removeprefix("./") in packed, place
