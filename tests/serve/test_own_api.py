"""`/api/...`: what is drawn is what the runtime draws, and what is refused is refused in one sentence."""

import base64
import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from amused_edge import AmusedPipeline, GenerationOptions, Inpainting, TextToImage, Variation, outpainting
from amused_edge.runtime import AmusedEdgeError
from amused_edge.serve import limits
from amused_edge.serve.drawing.draw import has_preview
from amused_edge.serve.drawing.requests import FIELDS, OWN, draw_request
from amused_edge.serve.shelf import Shelf
from tests.serve.conftest import SIZE, encoded, events, picture

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
MASK = Image.fromarray(np.pad(np.full((32, 32), 255, np.uint8), 16))


@pytest.fixture(scope="module")
def pipeline(shelf: Shelf) -> AmusedPipeline:
    return shelf.pipeline("bundle")


def drawn(client: TestClient, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    answer = client.post("/api/generate", json=fields)
    assert answer.status_code == 200, answer.text
    return events(answer.text)


def refused(client: TestClient, status: int, *words: str, **fields: Any) -> None:
    body = json.dumps(fields)  # in ASCII, also what UTF-8 cannot hold
    answer = client.post("/api/generate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]["message"]
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_events_tell_of_every_step_and_picture(client: TestClient, pipeline: AmusedPipeline) -> None:
    told = drawn(client, prompts="a fox", seed=3, steps=2, pictures_per_prompt=2, heatmap=True)
    assert [name for name, _ in told] == ["queued", *["step", "step", "picture"] * 2, "done"]
    assert told[0][1]["position"] == 0
    expected = pipeline.generate(TextToImage("a fox", pictures_per_prompt=2), GenerationOptions(seed=3, steps=2))
    previews = [pipeline.preview(step) for step in pipeline.stream("a fox", GenerationOptions(seed=3, steps=2))]
    assert (np.asarray(picture(told[1][1]["preview"])) == previews[0][0]).all()
    assert [(step["picture"], step["step"], step["steps"]) for name, step in told if name == "step"] == [
        *[(0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2)]
    ]
    for number, content in enumerate(content for name, content in told if name == "picture"):
        image = picture(content["png"])
        assert (np.asarray(image) == expected.images[number]).all()
        assert content["tokens"] == expected.tokens[number].tolist()
        assert json.loads(image.text["amused-edge"]) == content["parameters"]  # type: ignore[attr-defined]
        assert content["parameters"] == json.loads(expected.parameters[number].to_json())
        assert picture(content["heatmap"]).size == image.size


@pytest.mark.parametrize(
    ("fields", "task"),
    [
        (
            {"task": "variation", "image": encoded(PHOTO), "strength": 0.5, "fit": "stretch"},
            lambda: Variation("a fox", PHOTO, 0.5, fit="stretch"),
        ),
        (
            {
                "task": "inpainting",
                "image": "data:image/png;base64," + encoded(PHOTO),
                "mask": encoded(MASK),
                "feather": 3,
            },
            lambda: Inpainting("a fox", PHOTO, MASK, feather=3),
        ),
        (
            {"task": "outpainting", "image": encoded(PHOTO), "left": 16, "right": 16, "top": 32},
            lambda: outpainting("a fox", PHOTO, left=16, right=16, top=32),
        ),
    ],
    ids=["variation", "inpainting", "outpainting"],
)
def test_tasks_from_pictures(
    client: TestClient, pipeline: AmusedPipeline, fields: dict[str, Any], task: Callable[[], Any]
) -> None:
    told = drawn(client, prompts="a fox", steps=2, previews=False, **fields)
    result = pipeline.generate(task(), GenerationOptions(steps=2))
    (content,) = [content for name, content in told if name == "picture"]
    assert (np.asarray(picture(content["png"])) == result.images[0]).all()
    assert not any("preview" in content for _, content in told)
    again = {"like": content["parameters"], "image": fields["image"], "mask": fields.get("mask"), "previews": 0}
    if fields["task"] != "outpainting":  # whose picture and mask are the canvas's, which only the maker has
        assert drawn(client, **again)[-2][1]["png"] == content["png"]


def test_all_settings_and_conditions_reach_the_runtime(client: TestClient) -> None:
    chosen = {
        "steps": 2,
        "guidance_scale": 3,
        "temperature": [1.5, 0.5],
        "schedule": "linear",
        "order": "confidence",
        "guidance_ramp": "cosine",
        "guidance_interval": [0.25, 1.0],
        "entropy_bound": 2.5,
    }
    task = {"negative_prompts": "blur", "first_picture": 4, "micro_conditioning": {"aesthetic_score": 5}}
    told = drawn(client, prompts=["a fox"], seed=str(2**64 - 1), previews=False, **chosen, **task)
    parameters = told[-2][1]["parameters"]
    assert parameters["seed"] == 2**64 - 1
    assert parameters["settings"] == chosen
    assert (parameters["task"]["negative_prompt"], parameters["task"]["picture"]) == ("blur", 4)
    assert parameters["task"]["micro_conditioning"] == {"crop_top": 0, "crop_left": 0, "aesthetic_score": 5}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ("prompts is missing",)),
        ({"prompts": 3}, ("prompt is 3",)),
        ({"prompts": []}, ("give at least one",)),
        ({"prompts": ["x"] * 11}, ("11 prompts", "at most 10")),
        ({"prompts": ["x", "y"], "pictures_per_prompt": 6}, ("12 pictures", "at most 10")),
        ({"prompts": "x" * 4001}, ("4001 characters",)),
        ({"prompts": "\ud800"}, ("not valid Unicode",)),
        ({"prompts": "x", "negative_prompts": "y" * 4001}, ("4001 characters",)),
        ({"prompts": "x", "steps": 1001}, ("1001", "at most 1000")),
        ({"prompts": "x", "steps": True}, ("steps is True",)),
        ({"prompts": "x", "seed": "-1"}, ("seed is '-1'",)),
        ({"prompts": "x", "seed": 2**64}, ("below 2^64",)),
        ({"prompts": "x", "guidance": 3}, ("'guidance' is no field", "guidance_scale")),
        ({"prompts": "x", "image": "x"}, ("'image' is no field of text_to_image",)),
        ({"prompts": "x", "task": "video"}, ("task is 'video'", "text_to_image")),
        ({"prompts": "x", "task": ["variation"]}, ("choose one of",)),
        ({"prompts": "x", "task": "variation"}, ("image is missing",)),
        ({"prompts": "x", "task": "variation", "image": "!"}, ("image is not base64",)),
        ({"prompts": "x", "task": "variation", "image": ""}, ("image is empty",)),
        ({"prompts": "x", "task": "variation", "image": 7}, ("image is 7",)),
        ({"prompts": "x", "task": "variation", "image": "AAAA"}, ("image cannot be read as a picture",)),
        (
            {"prompts": "x", "task": "inpainting", "image": encoded(PHOTO), "mask": encoded(MASK), "paste_back": "no"},
            ("paste_back is 'no'",),
        ),
        ({"prompts": "x", "previews": "all"}, ("previews is 'all'",)),
        ({"prompts": "x", "previews": 1001}, ("previews is 1001",)),
        ({"prompts": "x", "heatmap": 1}, ("heatmap is 1",)),
        ({"prompts": "x", "micro_conditioning": {"score": 1}}, ("micro_conditioning", "aesthetic_score")),
        ({"like": {}, "prompts": "x"}, ("does not go with like",)),
        ({"like": {"format": "x"}}, ("parameters",)),
        ({"like": []}, ("parameters",)),
    ],
)
def test_what_is_refused(client: TestClient, fields: dict[str, Any], words: tuple[str, ...]) -> None:
    refused(client, 400, *words, **fields)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PICTURES = st.sampled_from([encoded(PHOTO), encoded(MASK), encoded(PHOTO)[:60]])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given=st.dictionaries(st.sampled_from([*FIELDS, "like"]), JSON_VALUES, max_size=6),
    pictures=st.dictionaries(st.sampled_from(["image", "mask"]), PICTURES),
    task=st.sampled_from([*OWN, None]),
)
def test_whatever_is_sent_is_a_request_or_one_sentence(
    shelf: Shelf, given: dict[str, Any], pictures: dict[str, str], task: str | None
) -> None:
    content = json.loads(json.dumps({"prompts": "x", "task": task, **given, **pictures}))
    with contextlib.suppress(AmusedEdgeError):
        assert draw_request(content, shelf.entries["bundle"].bundle.manifest).task.pictures()


def test_an_unknown_bundle(client: TestClient) -> None:
    for name in ("w4", 3, ["bundle"]):
        refused(client, 404, "this server has: bundle", prompts="x", bundle=name)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b"{", b'{"prompts": NaN}', b'{"seed": ' + b"9" * 5000 + b"}", b"[" * 100_000]
)
def test_what_is_no_json_object(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/generate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "the body is" in answer.json()["error"]["message"]


def test_other_methods(client: TestClient) -> None:
    """The page's route takes every address that is left, and so said that there was no such page."""
    for method, path, allowed in (
        ("GET", "/api/generate", {"POST"}),
        ("PUT", "/v1/images/generations", {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("GET", "/api/jobs/x", {"DELETE"}),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, allowed)
        assert answer.json()["error"]["message"] == "Method Not Allowed"


def test_a_form_of_another_site_is_no_json(client: TestClient) -> None:
    """Such requests are sent by browsers without asking the server first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/api/generate", content=b'{"prompts": "x"}', headers={"content-type": kind})
        assert answer.status_code == 415


def test_an_error_while_drawing_is_the_last_event(client: TestClient) -> None:
    """Its form of picture is the task's alone to know; the answer has begun by then."""
    wide = encoded(Image.new("RGB", (SIZE, SIZE // 2)))
    told = drawn(client, prompts="x", task="variation", image=wide, fit="exact")
    assert [name for name, _ in told] == ["queued", "error"]
    assert told[-1][1]["type"] == "OptionsError"
    assert "other proportions" in told[-1][1]["message"]


def test_bundles_are_described(client: TestClient) -> None:
    content = client.get("/api/bundles").json()
    (bundle,) = content.pop("bundles")
    assert (bundle["id"], bundle["files"], bundle["recipe"]) == ("bundle", "/bundles/bundle/", "w8")
    assert bundle["image_size"] == {"width": SIZE, "height": SIZE}
    assert bundle["bytes"] > 1e7
    assert (content["compute"], content["secure"], content["device"]) == ("page", False, None)


def test_the_description_is_of_the_routes_and_a_page(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    routes = {
        (route.path, method.lower())
        for route in client.app._app.routes  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"}
        if route.path.startswith(("/api/", "/v1/"))
    }
    assert {(path, method) for path, each in described["paths"].items() for method in each} == routes
    jsonschema.Draft202012Validator.check_schema({"$defs": described["components"]["schemas"]})
    page = client.get("/api")
    assert page.headers["content-type"].startswith("text/html")
    assert all(f"{method.upper()} {path}" in page.text for path, method in routes)
    assert "<script" not in page.text


def test_previews_come_evenly_and_never_with_the_last_step() -> None:
    def due(steps: int, count: int) -> list[int]:
        return [step for step in range(1, steps + 1) if has_preview(step, steps, count)]

    assert due(12, 3) == [3, 6, 9]
    assert due(12, 0) == []
    assert due(4, limits.STEPS) == [1, 2, 3]
    assert due(1, 3) == []
    assert all(len(due(steps, count)) == min(count, steps - 1) for steps in range(1, 30) for count in range(30))


def test_a_small_file_that_is_a_large_picture_is_not_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PIXELS", 10_000)
    refused(
        client,
        400,
        "image is too large: 200x100",
        prompts="x",
        task="variation",
        image=encoded(Image.new("1", (200, 100))),
    )
    margins = {"left": 60, "top": 100, "image": encoded(PHOTO)}
    refused(client, 400, "the canvas has 124x164", prompts="x", task="outpainting", **margins)


def test_an_icon_that_holds_a_larger_picture_than_it_says(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("RGB", (256, 256)).save(content, "ICO", sizes=[(256, 256)])
    lying = bytearray(content.getvalue())
    lying[6] = lying[7] = 16  # the sides in its directory
    monkeypatch.setattr(limits, "PIXELS", 10_000)
    refused(client, 400, "large", prompts="x", task="variation", image=base64.b64encode(bytes(lying)).decode())


def test_programs_are_not_read_as_pictures(client: TestClient) -> None:
    """As on the command line: EPS goes to another program, which runs it."""
    eps = base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n").decode()
    refused(client, 400, "cannot be read as a picture", prompts="x", task="variation", image=eps)
