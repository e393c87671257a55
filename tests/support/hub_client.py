"""huggingface_hub pointed at a loopback hub: in this process, whose settings it has read already, or in another."""

import os
from pathlib import Path

import pytest

from tests.support.loopback_hub import TOKEN, LoopbackHub


def point_at(hub: LoopbackHub, home: Path, monkeypatch: pytest.MonkeyPatch, *, token: str | None = None) -> None:
    """Lead this process's huggingface_hub to a hub and a cache of its own."""
    from huggingface_hub import constants

    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)


def environment(hub: LoopbackHub, home: Path, token: str | None = TOKEN, **others: str) -> dict[str, str]:
    """Return the environment of a process whose hub this is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    return {**kept, **settings, **({} if token is None else {"HF_TOKEN": token}), **others}
