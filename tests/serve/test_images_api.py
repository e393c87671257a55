"""The API in the manner of OpenAI's: its official client draws here; what is drawn is what the runtime draws."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from PIL import Image
from starlette.testclient import TestClient

from amused_edge import AmusedPipeline, GenerationOptions, Inpainting, TextToImage, Variation
from amused_edge.runtime.pictures import read_parameters
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.serve.shelf import Shelf
from tests.serve.conftest import SIZE, picture

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
STEPS = {"steps": 4}


@pytest.fixture(scope="module")
def pipeline(shelf: Shelf) -> AmusedPipeline:
    return shelf.pipeline("bundle")


@pytest.fixture
def api(client: TestClient) -> Iterator[openai.OpenAI]:
    """The official client, over the application in this process."""
    with openai.OpenAI(api_key="any", base_url="http://127.0.0.1:8765/v1", http_client=client, max_retries=0) as api:
        yield api


def image(item: Any) -> Any:
    return np.asarray(picture(item.b64_json))


def file(name: str, picture: Image.Image) -> tuple[str, bytes, str]:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return name, content.getvalue(), "image/png"


def transparent_in_the_middle() -> Image.Image:
    hole = Image.new("L", (SIZE, SIZE), 255)
    hole.paste(0, (16, 16, 48, 48))
    whole = PHOTO.copy()
    whole.putalpha(hole)
    return whole


def test_models(api: openai.OpenAI) -> None:
    (model,) = api.models.list()
    assert (model.id, model.owned_by) == ("bundle", "amused-edge")
    assert api.models.retrieve("bundle") == model
    with pytest.raises(openai.NotFoundError, match="this server has: bundle") as caught:
        api.models.retrieve("gpt-image-1")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_generations(api: openai.OpenAI, pipeline: AmusedPipeline) -> None:
    body = {**STEPS, "seed": 7, "negative_prompt": "blur"}
    result = api.images.generate(model="bundle", prompt="a fox", n=2, size="64x64", quality="high", extra_body=body)
    task = TextToImage("a fox", "blur", pictures_per_prompt=2)
    expected = pipeline.generate(task, GenerationOptions(seed=7, steps=4))
    assert [image(item).tolist() for item in result.data or []] == expected.images.tolist()
    assert (result.size, result.output_format, result.background) == ("64x64", "png", "opaque")
    assert result.usage is not None
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.total_tokens) == (77, 512, 589)


def test_partial_pictures(api: openai.OpenAI, pipeline: AmusedPipeline) -> None:
    stream = api.images.generate(prompt="a fox", stream=True, partial_images=3, extra_body=STEPS)
    events = list(stream)
    assert [event.type for event in events] == [*["image_generation.partial_image"] * 3, "image_generation.completed"]
    assert [event.partial_image_index for event in events[:3]] == [0, 1, 2]  # type: ignore[union-attr]
    steps = list(pipeline.stream("a fox", GenerationOptions(steps=4)))
    assert [image(event).tolist() for event in events[:3]] == [pipeline.preview(step)[0].tolist() for step in steps[:3]]
    assert (image(events[3]) == pipeline.decode(steps[3].tokens)[0]).all()
    assert events[3].usage.total_tokens == 77 + 256  # type: ignore[union-attr]


def test_edits_draw_anew_what_is_transparent(api: openai.OpenAI, pipeline: AmusedPipeline) -> None:
    hole = transparent_in_the_middle()
    mask = Image.fromarray(np.pad(np.full((32, 32), 255, np.uint8), 16))
    expected = pipeline.generate(Inpainting("a fox", PHOTO, mask), GenerationOptions(steps=4)).images[0]
    by_mask = api.images.edit(
        image=file("photo.png", PHOTO), mask=file("mask.png", hole), prompt="a fox", extra_body=STEPS
    )
    by_itself = api.images.edit(image=[file("photo.png", hole)], prompt="a fox", n=1, extra_body=STEPS)
    for result in (by_mask, by_itself):
        assert (image((result.data or [])[0]) == expected).all()
    assert (expected[:16] == np.asarray(PHOTO)[:16]).all()


def test_a_mask_in_a_list_is_the_mask(client: TestClient) -> None:
    """It was taken for the mask and then left out."""
    pictures = {"image": file("photo.png", PHOTO), "mask": file("mask.png", transparent_in_the_middle())}
    drawn = []
    for ending in ("", "[]"):
        files = {name + ending: content for name, content in pictures.items()}
        answer = client.post("/v1/images/edits", data={"prompt": "a fox", "steps": "1"}, files=files)
        drawn.append(answer.json()["data"][0]["b64_json"])
    assert drawn[0] == drawn[1]


def test_an_edit_without_a_mask_is_a_variation(api: openai.OpenAI, pipeline: AmusedPipeline) -> None:
    body = {**STEPS, "strength": 0.75, "fit": "stretch"}
    stream = api.images.edit(
        image=file("photo.png", PHOTO), prompt="a fox", stream=True, partial_images=1, extra_body=body
    )
    events = list(stream)
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    task = Variation("a fox", PHOTO, 0.75, fit="stretch")
    assert (image(events[-1]) == pipeline.generate(task, GenerationOptions(steps=4)).images[0]).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "dall-e-3"}, "this server has: bundle"),
        ({"size": "1024x1024"}, "this model takes: auto, 64x64"),
        ({"n": 11}, "n is 11"),
        ({"n": 0}, "n is 0"),
        ({"response_format": "url"}, "b64_json"),
        ({"output_format": "jpeg"}, "png"),
        ({"background": "transparent"}, "opaque"),
        ({"extra_body": {"guidance": 3}}, "guidance_scale"),
        ({"extra_body": {"steps": 0}}, "steps is 0"),
        ({"extra_body": {"steps": 5000}}, "at most 1000"),
        ({"extra_body": {"partial_images": 9, "stream": True}}, "partial_images is 9"),
        ({"extra_body": {"stream": "yes"}}, "stream is 'yes'"),
        ({"extra_body": {"prompt": None}}, "prompt is missing"),
        ({"extra_body": {"prompt": ["x"]}}, "prompt is"),
        ({"extra_body": {"size": ["auto"]}}, "size is"),
    ],
)
def test_what_generations_refuse(api: openai.OpenAI, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        api.images.generate(prompt="x", **fields)
    assert caught.value.status_code == (404 if "model" in fields else 400)
    assert words in caught.value.message
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "files", "words"),
    [
        ({}, {}, "image is missing"),
        ({}, {"image": b""}, "image is empty"),
        ({}, {"image": b"no picture"}, "image cannot be read as a picture"),
        ({"feather": "3"}, {"image": file("x", PHOTO)[1]}, "feather goes with a mask"),
        ({"n": "two"}, {"image": file("x", PHOTO)[1]}, "n is 'two'"),
        ({"strength": "2"}, {"image": file("x", PHOTO)[1]}, "strength is 2"),
        ({}, {"image": file("x", PHOTO)[1], "mask": file("x", PHOTO)[1]}, "the mask is transparent nowhere"),
        ({}, {"picture": file("x", PHOTO)[1]}, "'picture' is no picture of this request"),
        ({"guidance": "1"}, {"image": file("x", PHOTO)[1]}, "'guidance' is no field"),
    ],
)
def test_what_edits_refuse(client: TestClient, fields: dict[str, str], files: dict[str, bytes], words: str) -> None:
    form = {name: ("x.png", content) for name, content in files.items()} or {"x": ("", b"")}
    answer = client.post("/v1/images/edits", data={"prompt": "a fox", **fields}, files=form if files else None)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_a_second_picture_is_refused_and_not_dropped(api: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="image is there 2 times"):
        api.images.edit(image=[file("a.png", PHOTO), file("b.png", PHOTO)], prompt="x")


def test_edits_take_pairs_and_seeds_that_javascript_cannot_hold(api: openai.OpenAI, tmp_path: Path) -> None:
    body = {"steps": 1, "seed": str(2**64 - 1), "temperature": [3.0, 0.5], "guidance_interval": [0.25, 1.0]}
    results = [
        api.images.edit(image=file("photo.png", PHOTO), prompt="a fox", extra_body=body),
        api.images.generate(prompt="a fox", extra_body=body),
    ]
    for result in results:
        (tmp_path / "drawn.png").write_bytes(base64.b64decode((result.data or [])[0].b64_json or ""))
        options = PictureParameters.from_json(read_parameters(tmp_path / "drawn.png")).options()
        assert (options.seed, options.temperature, options.guidance_interval) == (2**64 - 1, (3.0, 0.5), (0.25, 1.0))


def test_a_form_that_is_none(client: TestClient) -> None:
    for kind, body in (("multipart/form-data; boundary=x", b"y"), ("multipart/form-data", b""), ("text/plain", b"x")):
        answer = client.post("/v1/images/edits", content=body, headers={"content-type": kind})
        assert answer.status_code == 400
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_failure_while_drawing(api: openai.OpenAI) -> None:
    wide = file("wide.png", Image.new("RGB", (SIZE, SIZE // 2)))
    body = {**STEPS, "fit": "exact"}
    with pytest.raises(openai.BadRequestError, match="other proportions"):
        api.images.edit(image=wide, prompt="x", extra_body=body)
    with pytest.raises(openai.APIError, match="other proportions"):
        list(api.images.edit(image=wide, prompt="x", stream=True, extra_body=body))


def test_the_key_is_the_token(open_site: Callable[..., TestClient]) -> None:
    from amused_edge.serve.http.guard import Rules

    client: httpx2.Client = open_site("192.168.1.20:8765", rules=Rules(lan=True, token="the-token"))
    where = {"base_url": "http://192.168.1.20:8765/v1", "http_client": client, "max_retries": 0}
    with pytest.raises(openai.AuthenticationError, match="open the whole address"):
        openai.OpenAI(api_key="another", **where).models.list()
    assert [model.id for model in openai.OpenAI(api_key="the-token", **where).models.list()] == ["bundle"]


def test_pictures_say_how_they_were_drawn(api: openai.OpenAI) -> None:
    result = api.images.generate(prompt="a fox", extra_body={"steps": 1})
    content = base64.b64decode((result.data or [])[0].b64_json or "")
    assert b"amused-edge picture" in content


def test_a_form_that_is_none_fills_no_terminal(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The form's reader warned of each, as often as a stranger liked."""
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/images/edits", content=b"--x\r\na\0b: c\r\n\r\n1\r\n--x--\r\n", headers=kind)
    assert answer.status_code == 400
    assert caplog.text == ""
