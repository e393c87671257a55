"""What Python draws, for the tests of the Kotlin library: a graph server that also answers with its own runtime."""

import json
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[6]
sys.path.insert(0, str(ROOT))

from amused_edge.benchmarks.device.results import parse_results  # noqa: E402
from amused_edge.runtime import AmusedPipeline, GenerationOptions, PictureState  # noqa: E402
from amused_edge.runtime.tasks.kinds import TextToImage  # noqa: E402
from tests.support.graph_server import ENGINE, Request, main, opened  # noqa: E402


@cache
def pipeline(bundle: str) -> AmusedPipeline:
    """Return an open pipeline, the same at each call."""
    return AmusedPipeline(opened(bundle), ENGINE)


def states(request: Request) -> list[str]:
    """Draw a prompt, or go on with a state; returns the states before and after each step."""
    runtime = pipeline(request["bundle"])
    if "state" in request:
        state = PictureState.from_json(request["state"])
    else:
        task = TextToImage(request["prompt"], **request.get("task", {}))
        (state,) = runtime.begin(task, GenerationOptions(**request["options"]))
    found = [state]
    for step in runtime.resume(state):
        found.append(found[-1].after(step))
    return [one.to_json() for one in found]


def ids(request: Request) -> list[list[int]]:
    """Return the ids of prompts."""
    tokenizer = pipeline(request["bundle"]).tokenizer
    return [[int(each) for each in tokenizer([prompt])[0]] for prompt in request["prompts"]]


def results(request: Request) -> str:
    """Read results of a device's benchmark; raises where they are not whole."""
    return parse_results(json.dumps(request["results"])).device.line()


def picture(request: Request) -> list[int]:
    """Return the pixels of a finished state."""
    runtime = pipeline(request["bundle"])
    image: Any = runtime.finish(PictureState.from_json(request["state"])).image
    return [int(level) for level in image.reshape(-1)]


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # that prompts were cut
    main({"states": states, "ids": ids, "results": results, "picture": picture})
