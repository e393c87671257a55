"""The command as it is called, in a process of its own: who leaves, who comes all at once, and how it ends."""

import asyncio
import base64
import hashlib
import json
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from amused_edge import AmusedPipeline, EngineOptions, GenerationOptions
from amused_edge.runtime.pictures.files import encode_png
from tests.serve.conftest import BUNDLE, events
from tests.support.command import COMMAND

SEEDS = 4


@contextmanager
def served(*options: str, cwd: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the server; give its first address."""
    command = [*COMMAND, "serve", str(BUNDLE), "--api-only", "--port", "0", "--threads", "1", *options]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(cwd=tmp_path_factory.mktemp("served")) as (address, process):
        yield address
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")  # Ctrl-C is how it ends, and nothing went wrong before


@pytest.fixture(scope="module")
def expected() -> list[str]:
    """SHA-256 of each seed's picture as a file."""
    hashes = []
    with AmusedPipeline.from_bundle(BUNDLE, EngineOptions(threads=1)) as pipeline:
        for seed in range(SEEDS):
            (picture,) = pipeline.pictures("a fox", GenerationOptions(seed, steps=1))
            png = encode_png(picture.image, picture.parameters.to_json())
            hashes.append(hashlib.sha256(png).hexdigest())
    return hashes


def body(seed: int = 0, steps: int = 1) -> dict[str, object]:
    return {"prompts": "a fox", "seed": seed, "steps": steps, "previews": False}


def test_clients_that_leave_leave_nothing_behind(server: str) -> None:
    """A run of so many steps would take a minute; the next one begins at once."""
    with httpx2.Client(base_url=server, timeout=30) as client:
        with client.stream("POST", "api/generate", json=body(steps=1000)) as answer:
            next(line for line in answer.iter_lines() if line == "event: step")
        told = events(client.post("api/generate", json=body()).text)
        assert [name for name, _ in told][-2:] == ["picture", "done"]
        with client.stream("POST", "v1/images/generations", json={"prompt": "x", "steps": 1000, "stream": True}):
            pass
        with pytest.raises(httpx2.ReadTimeout):
            client.post("v1/images/generations", json={"prompt": "x", "steps": 1000}, timeout=0.3)
        assert events(client.post("api/generate", json=body()).text)[-1][0] == "done"


def test_a_job_is_cancelled_by_its_name(server: str) -> None:
    with httpx2.Client(base_url=server, timeout=30) as client:
        with client.stream("POST", "api/generate", json=body(steps=1000)) as answer:
            lines = answer.iter_lines()
            first = next(line for line in lines if line.startswith("data: "))
            job = json.loads(first.removeprefix("data: "))["job"]
            assert client.delete(f"api/jobs/{job}").status_code == 204
            assert "event: error" in list(lines)
        assert client.delete(f"api/jobs/{job}").status_code == 404


def test_200_at_once_of_whom_every_third_leaves(server: str, expected: list[str]) -> None:
    """Whoever stays gets the right picture or is told to come again; then the line is empty."""

    async def ask(client: httpx2.AsyncClient, number: int) -> str:
        seed = number % SEEDS
        async with client.stream("POST", "api/generate", json=body(seed)) as answer:
            if number % 3 == 0:
                return "left"
            text = (await answer.aread()).decode()
        if answer.status_code == 429:
            return "full"
        told = dict(events(text))
        png = base64.b64decode(told["picture"]["png"])
        return "right" if hashlib.sha256(png).hexdigest() == expected[seed] else "wrong"

    async def all_at_once() -> list[str]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=server, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(200)))

    answers = asyncio.run(all_at_once())
    assert set(answers) <= {"left", "full", "right"}
    assert answers.count("right") >= 4  # of 17 places and those that leavers leave
    told = events(httpx2.post(f"{server}api/generate", json=body(), timeout=60).text)
    assert told[0][1]["position"] == 0
    assert told[-1][0] == "done"


def test_it_listens_at_home_by_default(server: str) -> None:
    assert server.startswith("http://127.0.0.1:")


def test_on_the_lan_with_a_certificate_for_the_day(tmp_path: Path) -> None:
    with served("--host", "0.0.0.0", "--tls", cwd=tmp_path) as (address, process):
        assert process.stderr is not None
        fingerprint = process.stderr.readline().rsplit(" ", 1)[1].strip()
        url = httpx2.URL(address)
        token = url.params["token"]
        pem = ssl.get_server_certificate(("127.0.0.1", url.port or 0))
        der = ssl.PEM_cert_to_DER_cert(pem)
        assert hashlib.sha256(der).hexdigest().upper() == fingerprint.replace(":", "")
        trusted = ssl.create_default_context(cadata=pem)  # also that it is valid now, and for this name
        local = f"https://127.0.0.1:{url.port}"
        assert httpx2.get(f"{local}/v1/models", verify=trusted).status_code == 401
        bearer = {"authorization": f"Bearer {token}"}
        assert httpx2.get(f"{local}/v1/models", verify=trusted, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "PORT"], ("cannot listen at 127.0.0.1", "--port")),
        (["--host", "no.such.name.invalid"], ("cannot listen at no.such.name.invalid",)),
        (["--certificate", "missing.pem"], ("the certificate missing.pem",)),
    ],
)
def test_what_it_cannot_begin_with(server: str, tmp_path: Path, options: list[str], words: tuple[str, ...]) -> None:
    port = str(httpx2.URL(server).port)
    command = [*COMMAND, "serve", str(BUNDLE), "--api-only", *(port if each == "PORT" else each for each in options)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.stderr
    assert all(word in result.stderr for word in words)
